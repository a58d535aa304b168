// Reads an OCI runtime configuration and writes it with the default seccomp profile for its capabilities.
package main

import (
	"encoding/json"
	"log"
	"os"

	"github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func main() {
	var spec specs.Spec
	if err := json.NewDecoder(os.Stdin).Decode(&spec); err != nil {
		log.Fatalf("no OCI runtime configuration: %v", err)
	}
	profile, err := seccomp.GetDefaultProfile(&spec)
	if err != nil {
		log.Fatalf("no profile: %v", err)
	}
	spec.Linux.Seccomp = profile
	if err := json.NewEncoder(os.Stdout).Encode(&spec); err != nil {
		log.Fatalf("could not write: %v", err)
	}
}
