//! The image on its way onto a node.

use std::fs;
use std::process::{Command, Stdio};

use edgeloop_tests::agent::wait_for;
use edgeloop_tests::cluster::image;
use edgeloop_tests::{Child, Site, leftovers};

/// As docs/install.md has it. The name is the one that the chart's pods ask for.
#[test]
#[ignore = "needs root and containerd"]
fn an_imported_image_has_the_name_that_the_chart_asks_for() {
    let site = Site::new().unwrap();
    let name = site.name().to_owned();
    let node = site.node("n1").unwrap();
    let (folder, socket) = (node.file("containerd"), node.file("containerd.sock"));
    fs::create_dir(&folder).unwrap();
    let config = format!(
        "version = 2\nroot = \"{0}/root\"\nstate = \"{0}/state\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
         [grpc]\n  address = \"{1}\"\n",
        folder.display(),
        socket.display()
    );
    fs::write(folder.join("config.toml"), config).unwrap();
    let mut containerd = node.command("containerd");
    containerd.arg("--config").arg(folder.join("config.toml")).stdout(Stdio::null()).stderr(Stdio::null());
    let containerd = Child::spawn("containerd", &mut containerd).unwrap();
    let ctr = |arguments: &[&str]| {
        let mut ctr = Command::new("ctr");
        ctr.arg("--address").arg(&socket).args(["--namespace", "k8s.io"]).args(arguments);
        ctr.output()
    };
    wait_for("containerd answers", || Ok(ctr(&["version"])?.status.success())).unwrap();

    let archive = image().unwrap();
    let imported = ctr(&["images", "import", archive.to_str().unwrap()]).unwrap();
    assert!(imported.status.success(), "{imported:?}");
    let listed = ctr(&["images", "list", "--quiet"]).unwrap();
    assert_eq!(String::from_utf8_lossy(&listed.stdout).trim(), "docker.io/edgeloop/lb-agent:0.1.0");
    drop((containerd, node, site));
    assert_eq!(leftovers(&name), Vec::<String>::new());
}
