//! Where credentials come from, and when they are renewed.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::guarded::Guarded;
use crate::api::testing::scripts::{prints, script, write_script};
use crate::api::{ApiClient, Credentials, KubeConfig, RequestError};

const PATIENCE: Duration = Duration::from_secs(20);

/// Writes a kubeconfig for a server on this machine, over http.
fn write(file: &Path, port: u16, user: &Value) {
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "c", "cluster": {"server": format!("http://127.0.0.1:{port}")}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    });
    std::fs::write(file, text.to_string()).unwrap();
}

fn config(file: &Path) -> KubeConfig {
    KubeConfig {
        credentials: Credentials::Kubeconfig { file: Some(file.into()), context: None },
        server: None,
    }
}

async fn client(folder: &TempDir, port: u16, user: &Value) -> ApiClient {
    let file = folder.path().join("kubeconfig");
    write(&file, port, user);
    ApiClient::new(config(&file), None).await.unwrap()
}

/// The status of one request, or why there is none.
async fn ask(client: &ApiClient) -> String {
    match client.get("/version", "application/json", PATIENCE).await {
        Ok(mut response) => {
            while response.next().await.unwrap().is_some() {}
            "200".to_owned()
        }
        Err(RequestError::Response { code, .. }) => code.to_string(),
        Err(error) => {
            client.recover(&error);
            error.to_string()
        }
    }
}

fn exec(folder: &TempDir) -> Value {
    let command = folder.path().join("plugin");
    let version = "client.authentication.k8s.io/v1";
    json!({"exec": {"apiVersion": version, "interactiveMode": "Never", "command": command}})
}

/// Prints a token, and counts how often it was asked.
fn counting(status: &Value) -> String {
    format!("echo >> \"${{0%/*}}/asked\"\n{}", prints(status))
}

fn runs(folder: &TempDir) -> usize {
    std::fs::read(folder.path().join("asked")).map_or(0, |lines| lines.len())
}

/// Asks until the status is this one.
async fn until(client: &ApiClient, expected: &str) {
    let end = Instant::now() + PATIENCE;
    while ask(client).await != expected {
        assert!(Instant::now() < end, "never {expected}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_plugin_is_run_once_for_all_that_ask_and_never_for_a_dead_link() {
    let folder = script(&counting(&json!({"token": "t", "expirationTimestamp": "2099-01-01T00:00:00Z"})));
    let server = Guarded::start(None).await;
    server.wants("Bearer t");
    let client = client(&folder, server.port, &exec(&folder)).await;
    assert_eq!(runs(&folder), 0, "it is not needed yet");
    let clones = [client.clone(), client.clone(), client.clone(), client.clone()];
    let asked = clones.map(|client| tokio::spawn(async move { ask(&client).await }));
    for status in asked {
        assert_eq!(status.await.unwrap(), "200");
    }
    let port = server.port;
    drop(server);
    for _ in 0..30 {
        assert!(ask(&client).await.contains("cannot be reached"));
    }
    let server = Guarded::at(port, None).await;
    server.wants("Bearer t");
    until(&client, "200").await;
    assert_eq!(runs(&folder), 1);
}

#[tokio::test]
async fn a_plugin_is_run_again_when_its_credentials_are_refused_and_less_and_less_often() {
    let folder = script(&counting(&json!({"token": "first"})));
    let server = Guarded::start(None).await;
    server.wants("Bearer first");
    let client = client(&folder, server.port, &exec(&folder)).await;
    assert_eq!(ask(&client).await, "200");
    server.wants("Bearer second");
    let start = Instant::now();
    for _ in 0..50 {
        assert_eq!(ask(&client).await, "401");
    }
    assert!(runs(&folder) <= 2 + start.elapsed().as_secs() as usize, "{} runs", runs(&folder));
    write_script(folder.path(), &counting(&json!({"token": "second"})));
    until(&client, "200").await;
}

#[tokio::test]
async fn a_plugin_that_hangs_holds_nothing_up_where_there_are_credentials() {
    let folder = script(&counting(&json!({"token": "t"})));
    let server = Guarded::start(None).await;
    server.wants("Bearer t");
    let client = client(&folder, server.port, &exec(&folder)).await;
    assert_eq!(ask(&client).await, "200");
    write_script(folder.path(), "exec sleep 1000");
    server.wants("Bearer other");
    assert_eq!(ask(&client).await, "401");
    // From here on the plugin is wanted, and hangs.
    server.wants("Bearer t");
    let start = Instant::now();
    let ticks = tokio::spawn(async {
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Instant::now()
    });
    assert_eq!(ask(&client).await, "200", "with the last credentials");
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert!(ticks.await.unwrap() - start < Duration::from_secs(3), "the runtime goes on meanwhile");
    let start = Instant::now();
    assert_eq!(ask(&client).await, "200");
    assert!(start.elapsed() < Duration::from_secs(1), "accepted, they are good again");
}

#[tokio::test]
async fn without_credentials_the_server_is_not_asked_and_the_error_says_why() {
    let folder = script("echo >> \"${0%/*}/asked\"; echo no network >&2; exit 1");
    let server = Guarded::start(None).await;
    let client = client(&folder, server.port, &exec(&folder)).await;
    let expected = "is not asked, for lack of credentials: the exec plugin plugin failed with exit status 1 and said: no network";
    for _ in 0..20 {
        assert_eq!(ask(&client).await, expected);
    }
    assert_eq!(runs(&folder), 1);
    assert!(server.heads().is_empty());
    write_script(folder.path(), &prints(&json!({"token": "t"})));
    until(&client, "200").await;
}

#[tokio::test]
async fn a_token_file_is_trimmed_and_read_again_after_a_refusal() {
    let folder = TempDir::new().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, " first\r\n\n").unwrap();
    let server = Guarded::start(None).await;
    server.wants("Bearer first");
    let client = client(&folder, server.port, &json!({"tokenFile": "token"})).await;
    assert_eq!(ask(&client).await, "200");
    std::fs::write(&token, "second\n").unwrap();
    assert_eq!(ask(&client).await, "200", "not before");
    server.wants("Bearer second");
    assert_eq!([ask(&client).await, ask(&client).await], ["401", "200"]);
    for unusable in ["", " \n", "a\nb", "\0"] {
        std::fs::write(&token, unusable).unwrap();
        server.wants("Bearer third");
        assert_eq!(
            [ask(&client).await, ask(&client).await],
            ["401", "401"],
            "{unusable:?}: the last one is used"
        );
        server.wants("Bearer second");
        assert_eq!(ask(&client).await, "200", "{unusable:?}");
    }
    std::fs::write(&token, "third").unwrap();
    server.wants("Bearer third");
    until(&client, "200").await;
}

#[tokio::test]
async fn a_token_comes_into_use_while_its_file_cannot_be_read() {
    let folder = TempDir::new().unwrap();
    let server = Guarded::start(None).await;
    server.wants("Bearer written");
    let client = client(&folder, server.port, &json!({"tokenFile": "token", "token": "written"})).await;
    assert_eq!(ask(&client).await, "200");
    std::fs::write(folder.path().join("token"), "of-file").unwrap();
    server.wants("Bearer of-file");
    assert_eq!([ask(&client).await, ask(&client).await], ["401", "200"]);
}

#[tokio::test]
async fn what_cannot_be_used_at_the_start_is_named_with_its_file() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("kubeconfig");
    let token = folder.path().join("token");
    for (shows, content, expected) in [
        ("an empty token", Some(""), "the token file FOLDER/token is empty"),
        ("blanks", Some(" \n"), "the token file FOLDER/token is empty"),
        (
            "a line break inside",
            Some("a\nb"),
            "the token file FOLDER/token holds a line break (at byte 1), and",
        ),
        ("none", None, "could not read the token file FOLDER/token: No such file"),
    ] {
        match content {
            Some(content) => std::fs::write(&token, content).unwrap(),
            None => std::fs::remove_file(&token).unwrap(),
        }
        write(&file, 1, &json!({"tokenFile": "token"}));
        let error = ApiClient::new(config(&file), None).await.unwrap_err();
        let error = crate::shown::chain(&error).replace(&folder.path().display().to_string(), "FOLDER");
        assert!(error.starts_with(expected), "{shows}: {error}");
    }
}

#[tokio::test]
async fn a_kubeconfig_that_is_replaced_is_read_after_a_refusal_and_a_wrong_one_harms_nothing() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("kubeconfig");
    let server = Guarded::start(None).await;
    server.wants("Bearer right");
    let client = client(&folder, server.port, &json!({"token": "right"})).await;
    assert_eq!(ask(&client).await, "200");
    server.wants("Bearer other");
    for wrong in [json!({"token": "right\n"}), json!({"token": 5}), json!({"tokenFile": "none"})] {
        write(&file, server.port, &wrong);
        let end = Instant::now() + Duration::from_millis(1300);
        while Instant::now() < end {
            assert_eq!(ask(&client).await, "401", "{wrong}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    write(&file, server.port, &json!({"token": "other"}));
    until(&client, "200").await;
}

#[tokio::test]
async fn requests_go_below_the_path_of_the_server_and_in_the_name_of_another() {
    let folder = TempDir::new().unwrap();
    let server = Guarded::start(None).await;
    let file = folder.path().join("kubeconfig");
    write(&file, server.port, &json!({"as": "a", "as-groups": ["g", "h"], "as-user-extra": {"k/": ["v"]}}));
    let text = std::fs::read_to_string(&file).unwrap();
    let address = format!("http://127.0.0.1:{}", server.port);
    let other = format!("http://me:p%40ss@127.0.0.1:{}/a//b/?x=y", server.port);
    std::fs::write(&file, text.replace(&address, &other)).unwrap();
    let client = ApiClient::new(config(&file), None).await.unwrap();
    assert_eq!(client.server(), address);
    assert_eq!(ask(&client).await, "200");
    let head = server.heads().remove(0);
    for expected in [
        "GET /a/b/version HTTP/1.1\r\n",
        "\r\nauthorization: Basic bWU6cEBzcw==\r\n",
        "\r\nimpersonate-user: a\r\n",
        "\r\nimpersonate-group: g\r\nimpersonate-group: h\r\n",
        "\r\nimpersonate-extra-k%2f: v\r\n",
    ] {
        assert!(head.contains(expected), "{expected}: {head}");
    }
}

#[tokio::test]
async fn more_headers_than_a_request_can_have_do_not_panic() {
    let folder = TempDir::new().unwrap();
    let extra: std::collections::BTreeMap<String, [&str; 1]> =
        (0..40_000).map(|key| (key.to_string(), ["v"])).collect();
    let client = client(&folder, 1, &json!({"as": "a", "as-user-extra": extra})).await;
    assert_eq!(ask(&client).await, "cannot be reached: there are too many headers for one request");
}

#[tokio::test]
async fn an_outage_opens_no_file() {
    use notify::{EventKind, RecursiveMode, Watcher as _, event::AccessKind};

    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("token"), "t").unwrap();
    let server = Guarded::start(None).await;
    let client = client(&folder, server.port, &json!({"tokenFile": "token"})).await;
    let (send, opened) = std::sync::mpsc::channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if let Ok(EventKind::Access(AccessKind::Open(_))) = event.map(|event| event.kind) {
            send.send(()).unwrap();
        }
    })
    .unwrap();
    watcher.watch(folder.path(), RecursiveMode::NonRecursive).unwrap();
    assert_eq!(ask(&client).await, "200");
    drop(server);
    for _ in 0..100 {
        assert!(ask(&client).await.contains("cannot be reached"));
    }
    std::fs::read(folder.path().join("token")).unwrap();
    opened.recv_timeout(PATIENCE).unwrap();
    assert!(opened.recv_timeout(Duration::from_millis(300)).is_err(), "that was ours, and the only one");
}
