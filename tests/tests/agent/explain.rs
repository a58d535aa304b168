//! Why connections go where they go, asked of the running agent and of the maps.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Output;

use edgeloop_tests::Pair;
use edgeloop_tests::agent::{lb_agent_says, wait_for};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// A Service of its own pool with an endpoint for each reason why one is not used.
const SHOP: &str = "service shop 10.96.0.21:80 topology=openyurt.io/nodepool
    slice shop-1 of shop 9376 10.244.1.5@n1 10.244.1.6@n1! 10.244.1.3@n3 10.244.1.7@n9 10.244.1.8";

#[test]
#[ignore = "needs root"]
fn each_endpoint_of_a_service_is_explained_beside_what_the_kernel_holds() {
    let pair = Pair::new().unwrap();
    pair.folder.put("shop.yaml", SHOP).unwrap();
    let agent = pair.agent(&[]).unwrap();
    wait_for_shop(&pair);

    let explained = says(&pair, "explain", &["shop", "-o", "json"]);
    let port = &explained["ports"][0];
    let endpoint = |backend: &str, node: Option<&str>, pool: Option<&str>, why: Option<&str>| json!({"backend": backend, "node": node, "pool": pool, "used": why.is_none(), "why": why});
    assert_eq!(
        port["endpoints"],
        json!([
            endpoint("10.244.1.5:9376", Some("n1"), Some("p1"), None),
            endpoint("10.244.1.3:9376", Some("n3"), Some("p3"), Some("node n3 is in pool p3")),
            endpoint("10.244.1.6:9376", Some("n1"), Some("p1"), Some("it is not ready")),
            endpoint("10.244.1.7:9376", Some("n9"), None, Some("node n9 is not known")),
            endpoint("10.244.1.8:9376", None, None, Some("it names no node")),
        ])
    );
    assert_eq!(
        (&port["outcome"], &port["level"], &port["kernel"]["state"]),
        (&json!("forward"), &json!("pool p1"), &json!("same"))
    );
    assert_eq!(
        explained["topology"],
        json!({
            "written": "openyurt.io/nodepool", "origin": "annotation",
            "means": "this node's pool and no other"
        })
    );

    // The same by what a client dials, and for people.
    assert_eq!(says(&pair, "explain", &["10.96.0.21:80", "-o", "json"]), explained);
    let text = text(&ask(&pair, "explain", &["default/shop:80"]));
    for line in [
        "Service default/shop, seen from node n1, in pool p1",
        "reaches  pool p1",
        "kernel   the same",
        "node n3 is in pool p3",
        "slice      shop-1: IPv4, 5 endpoints, ports: TCP 9376",
    ] {
        assert!(text.contains(line), "{line:?} in {text}");
    }
    let all = says(&pair, "services", &["-o", "yaml"]);
    let shop = all["servicePorts"].as_array().unwrap().iter().find(|port| port["service"] == "shop").unwrap();
    assert_eq!((&shop["notUsed"], &shop["kernel"]["state"]), (&json!(4), &json!("same")));

    agent.end_by(Signal::SIGKILL).unwrap();
    let alone = ask(&pair, "explain", &["shop"]);
    assert!(!alone.status.success() && stderr(&alone).contains("--pinned"), "{}", stderr(&alone));
    let pinned = says(&pair, "explain", &["shop", "--pinned", "-o", "json"]);
    assert_eq!(pinned[0]["backends"], json!(["10.244.1.5:9376"]));
    for asked in ["10.96.0.21", "10.96.0.21:80", "default/shop:80"] {
        assert_eq!(says(&pair, "explain", &[asked, "--pinned", "-o", "json"]), pinned, "{asked}");
    }
    for asked in ["10.96.0.21:81", "shop:81", "10.96.0.99"] {
        assert!(
            stderr(&ask(&pair, "explain", &[asked, "--pinned"])).contains("left as it is dialled"),
            "{asked}"
        );
    }
    assert!(stderr(&ask(&pair, "explain", &["nothing", "--pinned"])).contains("left as it is dialled"));
}

#[test]
#[ignore = "needs root"]
fn what_does_not_exist_is_said_with_what_was_probably_meant() {
    let pair = Pair::new().unwrap();
    pair.folder.put("shop.yaml", SHOP).unwrap();
    pair.folder.put("other.yaml", "service two 10.96.0.23:80,10.96.0.23:81").unwrap();
    let _agent = pair.agent(&[]).unwrap();
    wait_for_shop(&pair);

    for (asked, said) in [
        ("shopp", "there is no Service default/shopp: did you mean default/shop"),
        ("third/shop", "there is no Service third/shop: did you mean default/shop?"),
        ("two:82", "Service default/two has no port \"82\"; it has p80 (80/TCP), p81 (81/TCP)"),
        ("10.96.9.9", "10.96.9.9 belongs to no Service that is known"),
        ("10.96.0.21:81", "10.96.0.21:81 belongs to no Service that is known"),
        ("/", "names no Service"),
        ("shop:", "names no Service"),
        ("\u{1b}[31mred", "there is no Service default/"),
    ] {
        let output = ask(&pair, "explain", &[asked]);
        let error = stderr(&output);
        assert!(!output.status.success() && error.contains(said), "{asked:?}: {error}");
        assert!(error.trim_end().chars().all(|sign| !sign.is_control()), "{error:?}");
    }
}

/// Programs of an earlier version ask for nothing, and others send what they like.
#[test]
#[ignore = "needs root"]
fn who_asks_for_nothing_receives_the_status_and_what_is_not_understood_is_refused() {
    let pair = Pair::new().unwrap();
    let agent = pair.agent(&[]).unwrap();
    let socket = pair.client.node().file("agent.sock");
    let send = |bytes: &[u8]| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        // What is too long is not read to its end, and the agent may be gone before it is written to its end.
        if let Err(error) = stream.write_all(bytes) {
            assert_eq!((error.kind(), bytes.len()), (ErrorKind::BrokenPipe, 100_000), "{error}");
        }
        let mut text = Vec::new();
        drop(stream.read_to_end(&mut text));
        serde_json::from_slice::<Value>(&text).unwrap()
    };
    assert_eq!(send(b"")["pid"], agent.pid());
    assert_eq!(send(b"\n")["pid"], agent.pid());
    assert_eq!(send(b"\"status\"\n")["pid"], agent.pid());
    for bytes in
        [b"GET / HTTP/1.1\r\n\r\n".as_slice(), b"\"dance\"\n", &[0xff; 100_000], b"{\"explain\":{}}\n"]
    {
        let refused = send(bytes);
        assert!(refused["error"].as_str().unwrap().contains("does not understand"), "{refused}");
    }
    assert_eq!(send(b"\"services\"\n")["services"]["servicePorts"][0]["service"], "web");
}

fn wait_for_shop(pair: &Pair) {
    wait_for("the Service shop is served", || Ok(pair.holds("10.96.0.21:80")? != "untouched")).unwrap();
}

fn ask(pair: &Pair, verb: &str, flags: &[&str]) -> Output {
    let socket = pair.client.node().file("agent.sock");
    let flags = [flags, &["--socket", socket.to_str().unwrap()]].concat();
    lb_agent_says(pair.client.node(), verb, &flags).unwrap()
}

fn says(pair: &Pair, verb: &str, flags: &[&str]) -> Value {
    let output = ask(pair, verb, flags);
    assert!(output.status.success(), "{}", stderr(&output));
    // What is JSON is YAML.
    serde_saphyr::from_slice(&output.stdout).unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
