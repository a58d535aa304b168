//! Exec plugins that are shell scripts.

use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with a plugin in it, which is this shell script.
pub(crate) fn script(text: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    write_script(folder.path(), text);
    folder
}

pub(crate) fn write_script(folder: &Path, text: &str) {
    // A file that is open for writing cannot be run. A process of its own writes it, so that no other test
    // can fork while it is open here.
    let save = "cat > \"$0.new\" && chmod 755 \"$0.new\" && mv \"$0.new\" \"$0\"";
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", save]).arg(folder.join("plugin")).stdin(std::process::Stdio::piped());
    let mut shell = shell.spawn().unwrap();
    write!(shell.stdin.take().unwrap(), "#!/bin/sh\n{text}\n").unwrap();
    assert!(shell.wait().unwrap().success());
}

/// What an `ExecCredential` with this status is printed with.
pub(crate) fn prints(status: &Value) -> String {
    let credential =
        json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status});
    format!("cat <<'END'\n{credential}\nEND")
}
