//! The page of the loop in a real browser, without a network and without scripts.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use edgeloop_tests::checkout;
use lb_agent::view::loop_page::page;
use lb_agent::view::loops::{CellView, LoopView, NotCovered, Reach, ServiceLoop};
use lb_agent::view::state::{StateOrigin, StateView};

/// The root of a browser, which `cargo xtask test` fetches.
const ROOT: &str = "EDGELOOP_BROWSER_ROOT";
/// Writes the picture of the page that the documentation shows.
const RECORD: &str = "EDGELOOP_RECORD_PICTURES";
/// Ends a browser that hangs, in seconds.
const PATIENCE: &str = "60";

/// In mount and network namespaces of its own, which end with it: the browser sees its own files and the folder alone.
const ALONE: &str = r#"
root=$1 folder=$2; shift 2
mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev"; mount --bind "$folder" "$root/tmp"
exec timeout "$PATIENCE" chroot "$root" /usr/lib/chromium/chromium-headless-shell --no-sandbox --disable-gpu \
    --hide-scrollbars --enable-logging=stderr --window-size=1100,760 "$@""#;

fn browse(folder: &Path, flags: &[&str]) -> Output {
    let root = PathBuf::from(std::env::var_os(ROOT).unwrap());
    let output = Command::new("unshare")
        .args(["--mount", "--net", "sh", "-ec", ALONE, "sh"])
        .args([&root, folder])
        .args(flags)
        .arg("file:///tmp/loop.html")
        .env("PATIENCE", PATIENCE)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn cell(backend: Option<&str>, within: Reach, connections: u64) -> CellView {
    let client_pool = Some("hangzhou".to_owned());
    CellView { client_pool, backend_pool: backend.map(str::to_owned), within, connections }
}

fn service(name: &str, cells: Vec<CellView>, refused: u64) -> ServiceLoop {
    let [namespace, service, port_name, protocol] = ["shop", name, "http", "TCP"].map(str::to_owned);
    ServiceLoop { namespace, service, port_name, protocol, family: 4, cells, refused }
}

fn view() -> LoopView {
    let own = cell(Some("hangzhou"), Reach::OwnPool, 1284);
    let others = vec![
        cell(Some("hangzhou"), Reach::AnyNode, 212),
        cell(Some("shanghai"), Reach::AnyNode, 97),
        cell(Some("beijing"), Reach::AnyNode, 55),
    ];
    LoopView {
        node: Some("edge-7".to_owned()),
        pool: Some("hangzhou".to_owned()),
        state: Some(StateView { origin: StateOrigin::Live, age_seconds: Some(0), saved_at: None }),
        cells: [vec![own.clone()], others.clone()].concat(),
        refused: 3,
        services: vec![
            service("catalogue", others, 0),
            service("orders", Vec::new(), 3),
            service("web", vec![own], 0),
        ],
        not_covered: vec![NotCovered {
            service_port: "shop/legacy at 10.96.0.9:80".to_owned(),
            why: "excluded by a flag".to_owned(),
        }],
        ..LoopView::default()
    }
}

#[test]
#[ignore = "needs root and a browser"]
fn a_browser_without_a_network_shows_the_page_in_light_and_in_dark() {
    let folder = tempfile::tempdir().unwrap();
    let write = |view: &LoopView| std::fs::write(folder.path().join("loop.html"), page(view)).unwrap();
    let mut hostile = view();
    hostile.not_covered[0].service_port = "shop/<script>document.title='open'</script>".to_owned();
    write(&hostile);
    let output = browse(folder.path(), &["--dump-dom"]);
    let (dom, log) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    for part in [
        "<title>The loop of edge-7</title>",
        "The loop is closed:</strong> of 1284 connections",
        "<caption>Connections of each service port to the pool of the backend</caption>",
        ">1496</td>",
        "&lt;script&gt;document.title",
    ] {
        assert!(dom.contains(part), "{part}: {dom}");
    }
    assert!(!log.contains("CONSOLE"), "the browser finds fault with the page: {log}");

    write(&view());
    let pictures = [("light.png", "1"), ("dark.png", "0")].map(|(name, scheme)| {
        let scheme = format!("--blink-settings=preferredColorScheme={scheme}");
        browse(folder.path(), &[&scheme, &format!("--screenshot=/tmp/{name}")]);
        std::fs::read(folder.path().join(name)).unwrap()
    });
    assert!(pictures.iter().all(|picture| picture.starts_with(b"\x89PNG") && picture.len() > 10_000));
    assert_ne!(pictures[0], pictures[1], "dark is as light");
    if std::env::var_os(RECORD).is_some() {
        std::fs::write(checkout::folder().unwrap().join("docs/images/loop.png"), &pictures[0]).unwrap();
    }
}

/// 50 pools, and as many Services as have connections on a large node.
#[test]
#[ignore = "needs root and a browser"]
fn a_browser_reads_a_page_of_fifty_pools_and_two_thousand_services() {
    let cells: Vec<CellView> =
        (0..50).map(|pool| cell(Some(&format!("pool-{pool:02}")), Reach::AnyNode, pool + 1)).collect();
    let services =
        (0..2000).map(|number| service(&format!("service-{number:04}"), cells.clone(), 0)).collect();
    let large = LoopView { cells, services, ..LoopView::default() };
    let begun = Instant::now();
    let html = page(&large);
    println!("made in {:?}, {} bytes", begun.elapsed(), html.len());
    assert!(begun.elapsed() < Duration::from_secs(10), "a debug build on a busy machine");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("loop.html"), html).unwrap();
    let dom = String::from_utf8(browse(folder.path(), &["--dump-dom"]).stdout).unwrap();
    assert_eq!(
        dom.matches("<tr>").count(),
        1 + 1 + 1 + 2000,
        "a head and a row, a head and a row for each Service"
    );
}
