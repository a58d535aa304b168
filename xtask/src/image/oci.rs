//! An OCI archive of one layer, the same bytes for the same program.
//!
//! <https://github.com/opencontainers/image-spec>: `oci-layout`, `index.json`, and blobs by their digest.

use std::io::Write as _;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

/// What the image is called where it is imported.
pub(super) const NAME: &str = "edgeloop/lb-agent";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const PROGRAM: &str = "lb-agent";

/// What goes into it.
pub(super) struct Image {
    pub(super) arch: &'static str,
    pub(super) version: &'static str,
    /// The commit, where there is one.
    pub(super) revision: Option<String>,
    /// Since 1970: the commit's time, so that the same source gives the same image.
    pub(super) seconds: u64,
    pub(super) program: Vec<u8>,
    pub(super) license: Vec<u8>,
}

pub(super) struct Packed {
    pub(super) archive: Vec<u8>,
    /// Of the manifest: by this an image is known.
    pub(super) digest: String,
}

/// A blob under its digest.
struct Blob {
    digest: String,
    bytes: Vec<u8>,
}

impl Blob {
    fn new(bytes: Vec<u8>) -> Self {
        Self { digest: digest(&bytes), bytes }
    }

    fn json(value: &Value) -> Result<Self> {
        Ok(Self::new(serde_json::to_vec(value).context("could not write JSON")?))
    }

    fn described(&self, media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": format!("sha256:{}", self.digest), "size": self.bytes.len()})
    }
}

pub(super) fn pack(image: &Image) -> Result<Packed> {
    let files =
        archive(&[(PROGRAM, 0o755, &image.program), ("LICENSE", 0o644, &image.license)], image.seconds)?;
    let unpacked = digest(&files);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&files).context("could not pack the layer")?;
    let layer = Blob::new(gzip.finish().context("could not pack the layer")?);
    let created = time(image.seconds.cast_signed())?;
    let config = Blob::json(&json!({
        "created": created,
        "architecture": image.arch,
        "os": "linux",
        "config": {
            "Entrypoint": [format!("/{PROGRAM}")],
            "Cmd": ["--help"],
            "Env": ["PATH=/"],
            "WorkingDir": "/",
            "Labels": labels(image, &created),
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{unpacked}")]},
        "history": [{"created": created, "created_by": "cargo xtask image"}],
    }))?;
    let manifest = Blob::json(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.described(CONFIG),
        "layers": [layer.described(LAYER)],
        "annotations": labels(image, &created),
    }))?;
    let mut described = manifest.described(MANIFEST);
    described["platform"] = json!({"architecture": image.arch, "os": "linux"});
    described["annotations"] = json!({
        "org.opencontainers.image.ref.name": image.version,
        // Where `ctr images import` takes the name from.
        "io.containerd.image.name": format!("docker.io/{NAME}:{}", image.version),
    });
    let index = json!({"schemaVersion": 2, "manifests": [described]});
    let index = serde_json::to_vec(&index).context("could not write JSON")?;
    let blobs: Vec<(String, &[u8])> = [&config, &layer, &manifest]
        .into_iter()
        .map(|blob| (format!("blobs/sha256/{}", blob.digest), blob.bytes.as_slice()))
        .collect();
    let mut entries: Vec<(&str, u32, &[u8])> =
        vec![("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#), ("index.json", 0o644, &index)];
    entries.extend(blobs.iter().map(|(path, bytes)| (path.as_str(), 0o644, *bytes)));
    Ok(Packed { archive: archive(&entries, image.seconds)?, digest: format!("sha256:{}", manifest.digest) })
}

fn labels(image: &Image, created: &str) -> Value {
    let mut labels = json!({
        "org.opencontainers.image.title": "Edgeloop",
        "org.opencontainers.image.description": "Keeps Kubernetes Service traffic inside its node pool, decided in the kernel",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.version": image.version,
        "org.opencontainers.image.created": created,
    });
    if let Some(revision) = &image.revision {
        labels["org.opencontainers.image.revision"] = json!(revision);
    }
    labels
}

/// Files of root's, in this order, with their folders.
fn archive(files: &[(&str, u32, &[u8])], seconds: u64) -> Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    let mut made: Vec<&str> = Vec::new();
    for (path, mode, bytes) in files {
        for (end, _) in path.match_indices('/') {
            let folder = &path[..=end];
            if !made.contains(&folder) {
                made.push(folder);
                append(&mut tar, folder, EntryType::Directory, 0o755, &[], seconds)?;
            }
        }
        append(&mut tar, path, EntryType::Regular, *mode, bytes, seconds)?;
    }
    tar.into_inner().context("could not write the archive")
}

fn append(
    tar: &mut Builder<Vec<u8>>,
    path: &str,
    kind: EntryType,
    mode: u32,
    bytes: &[u8],
    seconds: u64,
) -> Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(bytes.len() as u64);
    header.set_mtime(seconds);
    header.set_uid(0);
    header.set_gid(0);
    tar.append_data(&mut header, path, bytes).with_context(|| format!("could not add {path} to the archive"))
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As RFC 3339 writes it, in UTC.
fn time(seconds: i64) -> Result<String> {
    Ok(Timestamp::from_second(seconds).context("not a time")?.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use super::*;

    fn image() -> Image {
        Image {
            arch: "amd64",
            version: "1.2.3",
            revision: Some("abc".into()),
            seconds: 1_764_201_845,
            program: vec![7; 100_000],
            license: b"free".to_vec(),
        }
    }

    fn unpacked(tar: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut archive = tar::Archive::new(tar);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (path, (entry.header().mode().unwrap(), bytes))
        });
        entries.collect()
    }

    #[test]
    fn every_blob_is_named_by_its_digest_and_every_name_leads_to_a_blob() {
        let packed = pack(&image()).unwrap();
        let files = unpacked(&packed.archive);
        let blobs =
            files.iter().filter_map(|(path, (_, bytes))| Some((path.strip_prefix("blobs/sha256/")?, bytes)));
        for (name, bytes) in blobs.filter(|(name, _)| !name.is_empty()) {
            assert_eq!(name, digest(bytes));
        }
        let read = |digest: &Value| -> &Vec<u8> {
            let name = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
            &files[&format!("blobs/sha256/{name}")].1
        };
        let index: Value = serde_json::from_slice(&files["index.json"].1).unwrap();
        let manifest: Value = serde_json::from_slice(read(&index["manifests"][0]["digest"])).unwrap();
        assert_eq!(index["manifests"][0]["digest"], packed.digest);
        let config: Value = serde_json::from_slice(read(&manifest["config"]["digest"])).unwrap();
        assert_eq!(config["config"]["Entrypoint"], json!(["/lb-agent"]));
        assert_eq!(config["config"]["Labels"]["org.opencontainers.image.revision"], "abc");
        let mut layer = Vec::new();
        let packed_layer = read(&manifest["layers"][0]["digest"]);
        flate2::read::GzDecoder::new(&packed_layer[..]).read_to_end(&mut layer).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", digest(&layer)));
        let layer = unpacked(&layer);
        assert_eq!(layer["lb-agent"], (0o755, vec![7; 100_000]));
        assert_eq!(layer.len(), 2, "nothing else is in it");
    }

    /// All but the time, which an engine sets by itself.
    #[test]
    fn the_dockerfile_says_the_same_of_the_image() {
        let text = std::fs::read_to_string(crate::shell::root().join("Dockerfile")).unwrap();
        let (_, last) = text.rsplit_once("\nFROM scratch\n").expect("the last stage has nothing else");
        let Value::Object(labels) = labels(&image(), "now") else { unreachable!("labels are an object") };
        for (label, value) in labels.iter().filter(|(label, _)| !label.ends_with(".created")) {
            let value = match label.rsplit('.').next() {
                Some("version") => "$VERSION",
                Some("revision") => "$REVISION",
                _ => value.as_str().unwrap(),
            };
            assert!(last.contains(&format!("{label}=\"{value}\"")), "{label}");
        }
        for line in [
            "ENV PATH=/",
            "WORKDIR /",
            r#"ENTRYPOINT ["/lb-agent"]"#,
            r#"CMD ["--help"]"#,
            "COPY --from=build /image/ /",
        ] {
            assert!(last.lines().any(|found| found == line), "{line}");
        }
        let version = format!("ARG VERSION={}", env!("CARGO_PKG_VERSION"));
        assert!(last.lines().any(|line| line == version), "{version}");
    }

    #[test]
    fn the_same_is_packed_into_the_same_bytes() {
        assert_eq!(pack(&image()).unwrap().archive, pack(&image()).unwrap().archive);
        let other = Image { program: vec![8; 100_000], ..image() };
        assert_ne!(pack(&image()).unwrap().digest, pack(&other).unwrap().digest);
    }
}
