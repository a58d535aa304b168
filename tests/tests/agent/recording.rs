//! What the README shows of a terminal: what the commands print, as a picture.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::fmt::Write as _;

use edgeloop_tests::agent::{Agent, Folder, lb_agent_says};
use edgeloop_tests::{Site, checkout};

/// Writes the picture.
const RECORD: &str = "EDGELOOP_RECORD_PICTURES";
const PICTURE: &str = "docs/images/terminal.svg";

const NODES: &str = "node hz-1 pool=hangzhou\nnode hz-2 pool=hangzhou\nnode sh-1 pool=shanghai";
/// `orders` has no endpoint in Hangzhou.
const SHOP: &str = "
    service web 10.96.0.11:80 topology=openyurt.io/nodepool
    slice web-1 of web 9376 10.244.2.1@hz-2 10.244.3.1@sh-1
    service orders 10.96.0.12:80 topology=openyurt.io/nodepool
    slice orders-1 of orders 9376 10.244.3.1@sh-1
";
const COMMANDS: [&[&str]; 3] = [&["explain", "default/web"], &["explain", "default/orders"], &["loop"]];

#[test]
#[ignore = "needs root"]
fn what_the_readme_shows_of_a_terminal_is_what_the_commands_print() {
    let site = Site::new().unwrap();
    let node = site.node("hz-1").unwrap();
    let client = node.pod("client", "10.244.1.2").unwrap();
    let _servers = [("hz-2", "10.244.2.1"), ("sh-1", "10.244.3.1")].map(|(node, address)| {
        let pod = site.node(node).unwrap().pod(node, address).unwrap();
        pod.serve_name(9376).unwrap();
        pod
    });
    let folder = Folder::of(&node).unwrap();
    folder.put("nodes.yaml", NODES).unwrap();
    folder.put("shop.yaml", SHOP).unwrap();
    let _agent = Agent::start(&node, &["--self-test", "off"]).unwrap();
    let answers = client.dial("10.96.0.11:80", 12).unwrap();
    assert!(answers.iter().all(|answer| answer.is_from("hz-2")), "{answers:?}");
    let answers = client.dial("10.96.0.12:80", 3).unwrap();
    assert!(answers.iter().all(|answer| answer.failed_with("ECONNREFUSED")), "{answers:?}");

    let socket = node.file("agent.sock");
    let mut lines = Vec::new();
    for command in COMMANDS {
        let arguments = [&command[1..], &["--socket", socket.to_str().unwrap()]].concat();
        let output = lb_agent_says(&node, command[0], &arguments).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        lines.push(format!("$ lb-agent {}", command.join(" ")));
        lines.extend(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned));
        lines.push(String::new());
    }
    lines.pop();
    let picture = picture(&lines);
    let path = checkout::folder().unwrap().join(PICTURE);
    if std::env::var_os(RECORD).is_some() {
        std::fs::write(&path, &picture).unwrap();
    }
    let recorded = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        picture == recorded,
        "{PICTURE} shows something else than\n{}\n`cargo xtask docs` writes it",
        lines.join("\n")
    );
}

/// The lines as a terminal shows them, as SVG.
fn picture(lines: &[String]) -> String {
    const CHARACTER: usize = 8;
    const LINE: usize = 18;
    const MARGIN: usize = 16;
    let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default();
    let (width, height) = (longest * CHARACTER + 2 * MARGIN, lines.len() * LINE + 2 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>A terminal</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#0d1117\"/>\n\
         <g font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"13\" fill=\"#d7dde4\" xml:space=\"preserve\">\n"
    );
    for (number, line) in (1..).zip(lines) {
        if line.is_empty() {
            continue;
        }
        let of_command = if line.starts_with("$ ") { " fill=\"#7ee787\"" } else { "" };
        let (columns, y) = (line.chars().count() * CHARACTER, MARGIN + number * LINE - 5);
        let text = line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        // The length keeps columns below one another in whichever font is there.
        writeln!(svg, "<text x=\"{MARGIN}\" y=\"{y}\" textLength=\"{columns}\" lengthAdjust=\"spacingAndGlyphs\"{of_command}>{text}</text>").unwrap();
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}
