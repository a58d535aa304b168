// Dials as a Go program does: WAY,HOST,PORT for each argument, and a line for each.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

const patience = 5 * time.Second

func main() {
	for _, argument := range os.Args[1:] {
		words := strings.Split(argument, ",")
		said, err := dial(words[0], words[1], words[2])
		if err != nil {
			said = err.Error()
		}
		fmt.Println(said)
	}
}

func dial(way, host, port string) (string, error) {
	to := net.JoinHostPort(host, port)
	switch way {
	case "http":
		client := http.Client{Timeout: patience}
		reply, err := client.Get("http://" + to + "/")
		if err != nil {
			return "", err
		}
		defer reply.Body.Close()
		text, err := io.ReadAll(reply.Body)
		return strings.TrimSpace(string(text)), err
	case "sendto":
		// Of both families, as Go has it where no address is given.
		conn, err := net.ListenPacket("udp", ":0")
		if err != nil {
			return "", err
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		address, err := net.ResolveUDPAddr("udp", to)
		if err != nil {
			return "", err
		}
		if _, err := conn.WriteTo([]byte("q"), address); err != nil {
			return "", err
		}
		buffer := make([]byte, 512)
		length, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return "", err
		}
		return shown(buffer[:length], from), nil
	}
	conn, err := net.DialTimeout(way, to, patience)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if way == "udp" {
		if _, err := conn.Write([]byte("q")); err != nil {
			return "", err
		}
		buffer := make([]byte, 512)
		length, err := conn.Read(buffer)
		return shown(buffer[:length], conn.RemoteAddr()), err
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return "", err
	}
	text, err := io.ReadAll(conn)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1], err
}

func shown(text []byte, from net.Addr) string {
	address := from.(*net.UDPAddr)
	return fmt.Sprintf("%s from %s %d", text, address.IP, address.Port)
}
