//! Plugins that are run, as shell scripts.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::api::testing::scripts::{prints, script};
use crate::shown::chain;

const LIMIT: Duration = Duration::from_secs(20);

fn plugin(command: &Path) -> Plugin {
    Plugin {
        command: command.to_owned(),
        args: Secret::default(),
        env: Secret::default(),
        api_version: ApiVersion::V1,
        install_hint: String::new(),
        cluster: None,
    }
}

async fn outcome_of(script_text: &str) -> Result<Issued, String> {
    let folder = script(script_text);
    let plugin = plugin(&folder.path().join("plugin"));
    run_until(&plugin, LIMIT).await
}

async fn run_until(plugin: &Plugin, limit: Duration) -> Result<Issued, String> {
    run(plugin, &request(plugin, "https://h", None), limit).await.map_err(|error| chain(&error))
}

fn bearer(issued: &Issued) -> Option<&[u8]> {
    issued.authorization.as_ref().map(http::HeaderValue::as_bytes)
}

#[tokio::test]
async fn a_plugin_gives_a_token_or_a_certificate_and_says_until_when() {
    let status = json!({"token": "t", "expirationTimestamp": "2099-01-01T00:00:00Z"});
    let issued = outcome_of(&prints(&status)).await.unwrap();
    assert_eq!(bearer(&issued), Some(&b"Bearer t"[..]));
    assert_eq!(issued.expires.unwrap().as_second(), 4_070_908_800);
    let pair = rcgen::generate_simple_self_signed(["me".to_owned()]).unwrap();
    let (certificate, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    let status =
        json!({"clientCertificateData": certificate, "clientKeyData": key, "expirationTimestamp": null});
    let issued = outcome_of(&prints(&status)).await.unwrap();
    assert_eq!((bearer(&issued), issued.expires), (None, None));
    let pair = issued.pair.unwrap();
    assert_eq!(
        (&pair.certificate.expose()[..], &pair.key.expose()[..]),
        (certificate.as_bytes(), key.as_bytes())
    );
}

#[tokio::test]
async fn what_a_plugin_may_not_give() {
    let of_version =
        |version: &str| prints(&json!({"token": "t"})).replace("client.authentication.k8s.io/v1", version);
    let beta = "client.authentication.k8s.io/v1beta1";
    for (shows, script, expected) in [
        ("nothing", String::new(), "the exec plugin plugin wrote what is no ExecCredential"),
        ("a text", "echo sEkrit".to_owned(), "wrote what is no ExecCredential"),
        ("no text", "printf '\\377'".to_owned(), "wrote what is no ExecCredential"),
        (
            "another kind",
            prints(&json!({})).replace("ExecCredential", "Pod"),
            "wrote what is no ExecCredential",
        ),
        ("another version", of_version(beta), "of another version than client.authentication.k8s.io/v1,"),
        ("no status", prints(&json!(null)), "without a status"),
        ("an empty status", prints(&json!({})), "neither a token nor a certificate"),
        ("an empty token", prints(&json!({"token": ""})), "neither a token nor a certificate"),
        ("a number as a token", prints(&json!({"token": 5})), "wrote what is no ExecCredential"),
        (
            "a token with a line break",
            prints(&json!({"token": "sEkrit\n"})),
            "a token that holds a line break",
        ),
        ("half a pair", prints(&json!({"clientKeyData": "sEkrit"})), "a certificate without its key, or"),
        (
            "no pair",
            prints(&json!({"clientCertificateData": "sEkrit", "clientKeyData": "sEkrit"})),
            "gave a client certificate that holds no",
        ),
        ("no time", prints(&json!({"token": "sEkrit", "expirationTimestamp": "soon"})), "that is no time"),
        ("no end", "yes sEkrit | head -c 2000000".to_owned(), "wrote more than 1048576 bytes"),
        (
            "a failure",
            "echo sEkrit; echo 'no network' >&2; exit 3".to_owned(),
            "plugin failed with exit status 3 and said: no network",
        ),
        ("a failure without a word", "exit 3".to_owned(), "failed with exit status 3"),
        ("a signal", "kill -TERM $$".to_owned(), "was ended by signal 15"),
    ] {
        let error = outcome_of(&script).await.unwrap_err();
        assert!(error.contains(expected), "{shows}: {error}");
        assert!(!error.contains("sEkrit"), "{shows}: {error}");
    }
}

#[tokio::test]
async fn a_plugin_finds_what_the_kubeconfig_gives_it_and_no_input() {
    let folder = script(
        "cat > \"${0%/*}/input\"; echo \"$1/$2/$NAME/$KUBERNETES_EXEC_INFO\" > \"${0%/*}/given\"; exit 1",
    );
    let plugin = Plugin {
        args: Secret::new(vec!["a b".to_owned(), "$HOME".to_owned()]),
        env: Secret::new(vec![("NAME".to_owned(), "x".to_owned()), ("NAME".to_owned(), "y".to_owned())]),
        cluster: Some(ClusterInfo {
            tls_server_name: "n".to_owned(),
            check: ServerCheck::Certificate,
            proxy_url: Secret::default(),
            disable_compression: false,
            config: Secret::new(Some(json!({"for": "me"}))),
        }),
        ..plugin(&folder.path().join("plugin"))
    };
    let given = request(&plugin, "https://h:1", Some(b"ca"));
    assert!(run(&plugin, &given, LIMIT).await.is_err());
    assert_eq!(std::fs::read(folder.path().join("input")).unwrap(), b"");
    let given = std::fs::read_to_string(folder.path().join("given")).unwrap();
    let info = given.trim_end().strip_prefix("a b/$HOME/y/").unwrap();
    let expected = json!({
        "kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1",
        "spec": {"interactive": false, "cluster": {
            "server": "https://h:1", "tls-server-name": "n", "certificate-authority-data": "Y2E=",
            "config": {"for": "me"},
        }},
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(info).unwrap(), expected);
}

#[tokio::test]
async fn a_plugin_that_is_not_there_is_named_with_what_to_do() {
    let missing = Plugin {
        install_hint: "get it at\nexample.com".to_owned(),
        ..plugin(Path::new("no-such-plugin-anywhere"))
    };
    let error = run_until(&missing, LIMIT).await.unwrap_err();
    assert_eq!(error, "the exec plugin no-such-plugin-anywhere is not there: get it at\\nexample.com");
    let error = run_until(&plugin(Path::new("/no/such/plugin")), LIMIT).await.unwrap_err();
    assert_eq!(error, "the exec plugin plugin is not there");
    assert!(run_until(&plugin(Path::new("true")), LIMIT).await.unwrap_err().contains("no ExecCredential"));
}

#[tokio::test]
async fn no_value_of_a_kubeconfig_panics() {
    for value in ["a\0b", "", "=", "ü", &"x".repeat(1 << 18)] {
        for place in 0..3 {
            let text = |at: usize| if at == place { value.to_owned() } else { "x".to_owned() };
            let odd = Plugin {
                command: if place == 2 { value.into() } else { "true".into() },
                args: Secret::new(vec![text(0)]),
                env: Secret::new(vec![("NAME".to_owned(), text(1))]),
                ..plugin(Path::new(""))
            };
            assert!(run_until(&odd, LIMIT).await.is_err(), "{place}: {value:.9?}");
        }
    }
}

#[tokio::test]
async fn a_plugin_that_takes_too_long_is_killed_with_all_that_it_started() {
    let folder = script("sleep 1000 & echo $! > \"${0%/*}/started\"; wait");
    let slow = plugin(&folder.path().join("plugin"));
    let start = Instant::now();
    let error = run_until(&slow, Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error, "the exec plugin plugin had not ended after 1 s, and was ended");
    assert!(start.elapsed() < Duration::from_secs(10));
    has_died(&folder).await;
}

#[tokio::test]
async fn a_plugin_is_killed_when_nothing_wants_its_credentials_any_more() {
    let folder = script("sleep 1000 & echo $! > \"${0%/*}/started\"; wait");
    let slow = plugin(&folder.path().join("plugin"));
    assert!(tokio::time::timeout(Duration::from_secs(1), run_until(&slow, LIMIT)).await.is_err());
    has_died(&folder).await;
}

async fn has_died(folder: &TempDir) {
    let id = std::fs::read_to_string(folder.path().join("started")).unwrap();
    let command = format!("/proc/{}/cmdline", id.trim());
    let until = Instant::now() + LIMIT;
    while std::fs::read(&command).is_ok_and(|command| command.starts_with(b"sleep")) {
        assert!(Instant::now() < until, "{id} lives");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_a_plugin_leaves_behind_is_not_waited_for() {
    let start = Instant::now();
    let issued = outcome_of(&format!("{}\nsleep 8 &", prints(&json!({"token": "t"})))).await.unwrap();
    assert_eq!(bearer(&issued), Some(&b"Bearer t"[..]));
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
}
