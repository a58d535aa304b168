//! Secrets that are planted wherever a kubeconfig can hold them, and looked for wherever people look.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tracing_subscriber::EnvFilter;

use super::client::{Client, state};
use crate::announce::warning::TopologyWarning;
use crate::announce::{EventQueue, RateLimit, publish};
use crate::api::testing::scripts::{prints, script};
use crate::api::testing::server::{Reply, Server};
use crate::api::{ApiClient, Credentials, KubeConfig};
use crate::cli::print::status::{Status, text};
use crate::model::{ApiReport, Kind, KindState, ObjectName, SourceReport, SourceState};
use crate::store::{Rules, Store};
use crate::telemetry::subscriber;
use crate::telemetry::tests::Kept;
use crate::view::json;
use crate::view::published::Published;
use crate::view::reported::Reported;
use crate::view::status::AgentView;

/// A part of every secret.
const SECRET: &str = "sEkrit7";
const AS_BASE64: &str = "c0Vrcml0N";
/// The user `me` with this password, as HTTP sends them.
const BASIC: &str = "bWU6c0Vrcml0Nw==";

/// What people can see.
struct Seen {
    log: Kept,
    shown: String,
}

impl Seen {
    fn check(&self, shows: &str) {
        for text in [self.log.text(), self.shown.clone()] {
            let line = text
                .lines()
                .find(|line| [SECRET, AS_BASE64, BASIC].iter().any(|secret| line.contains(secret)));
            assert_eq!(line, None, "{shows}");
        }
    }
}

/// Follows a server that refuses everything with a message that quotes what it was sent, and then goes away.
async fn follow(sent: &str, cluster: Value, user: &Value, named: Option<String>) -> Seen {
    let log = Kept::default();
    let writer = log.clone();
    let everything = subscriber(EnvFilter::new("trace"), move || writer.clone(), false);
    let _guard = tracing::subscriber::set_default(everything);
    let server = Server::start().await;
    for kind in Kind::ALL {
        for _ in 0..2 {
            let echo = json!({"kind": "Status", "message": format!("no to {sent}, {sent}")});
            let head = "HTTP/1.1 401 Unauthorized\r\n".to_owned();
            server.reply(kind, Reply::Whole(head, echo.to_string().into_bytes()));
        }
    }
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("kubeconfig");
    std::fs::write(folder.path().join("token"), format!("{SECRET}\n")).unwrap();
    let mut cluster = cluster;
    let address = server.address().strip_prefix("http://").unwrap();
    let written = cluster["server"].as_str().unwrap_or("http://ADDRESS").replace("ADDRESS", address);
    cluster["server"] = json!(written);
    let text = json!({
        "current-context": "x",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    });
    std::fs::write(&file, text.to_string()).unwrap();
    let credentials = Credentials::Kubeconfig { file: Some(file), context: None };
    let named = named.map(|named| named.replace("ADDRESS", address));
    let config = KubeConfig { credentials, server: named };
    let mut shown = format!("{config:?}");
    match ApiClient::new(config.clone(), None).await {
        Err(error) => shown += &format!("\n{error} {error:?} {:?}", std::error::Error::source(&error)),
        Ok(api) => {
            shown += &format!("\n{api:?} {}", api.server());
            let refused = api.get("/api/v1/services", "*/*", Duration::from_secs(9)).await.err();
            shown += &format!("\n{refused:?}");
            let mut client = Client::of(config).await;
            let failed = |kind: &KindState| kind.last_failure.is_some();
            client.until(|report| report.kinds.iter().filter(|kind| failed(kind)).count() == 3).await;
            shown += &format!("\n{:?}\n{}", client.report, status(&client.report));
            shown += &event(&api, &server).await;
            server.die(true);
            drop(server);
            client
                .until(|report| {
                    state(report, Kind::Service).is_some_and(|state| state != SourceState::InSync)
                })
                .await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            shown += &format!("\n{:?}\n{}", client.report, status(&client.report));
        }
    }
    Seen { log, shown }
}

/// What `lb-agent status` prints of the source, as text and as JSON.
pub(super) fn status(report: &ApiReport) -> String {
    let mut reported = Reported::default();
    reported.take(SourceReport::Api(report.clone()));
    let store = Store::new("n1", Rules::default());
    let published =
        Published { report: reported, ..Published::first(&store, "x", std::time::Instant::now()) };
    let agent = AgentView::new(&published, 1);
    let status = Status { kernel: None, agent: Some(agent), not_covered: Vec::new() };
    format!("{}\n{}", text(&status), String::from_utf8(json::pretty(&status).unwrap()).unwrap())
}

/// The body of an Event that is made with these credentials, once the server has refused it.
async fn event(api: &ApiClient, server: &Server) -> String {
    let queue = EventQueue::default();
    let service = ObjectName::new("default", "web");
    let (uid, written) = (None, "rack".into());
    let warning = TopologyWarning { service: service.clone(), uid, written, text: "It is wrong.".to_owned() };
    queue.set(&service, Some(warning));
    server.refuse_events(&[(500, "no")]);
    let fast = Duration::from_millis(1);
    let rate = RateLimit { spread: fast, gap: fast, most: fast, ..RateLimit::default() };
    let _publisher = publish(api, queue, "n1", rate);
    // Where there are no credentials, nothing is sent.
    let until = Instant::now() + Duration::from_secs(1);
    while server.events().is_empty() && Instant::now() < until {
        tokio::time::sleep(fast).await;
    }
    format!("{:?}", server.events())
}

#[tokio::test]
async fn no_credential_of_a_kubeconfig_is_ever_shown() {
    let address = |text: &str| json!({"server": text});
    for (shows, cluster, user) in [
        ("a token", json!({}), json!({"token": SECRET})),
        ("a token that cannot be sent", json!({}), json!({"token": format!("{SECRET}\n")})),
        ("a token of another type", json!({}), json!({"token": [SECRET]})),
        ("a token's file", json!({}), json!({"tokenFile": "token"})),
        ("a password", json!({}), json!({"username": "me", "password": SECRET})),
        ("a password and a token", json!({}), json!({"token": SECRET, "password": SECRET})),
        ("a key", json!({}), json!({"client-certificate-data": "eA==", "client-key-data": "c0Vrcml0Nw=="})),
        ("a key that is no base64", json!({}), json!({"client-key-data": SECRET})),
        ("an auth-provider", json!({}), json!({"auth-provider": {"name": "x", "config": {"token": SECRET}}})),
        ("a user in the address", address(&format!("http://me:{SECRET}@ADDRESS/?token={SECRET}")), json!({})),
        ("the same, wrong", address(&format!("ftp://me:{SECRET}@ADDRESS/?token={SECRET}")), json!({})),
        ("the same, with a wrong port", address(&format!("http://me:{SECRET}@ADDRESSx")), json!({})),
        ("a proxy", json!({"proxy-url": format!("http://me:{SECRET}@p/?{SECRET}")}), json!({})),
    ] {
        let sent = if user["token"].is_string() || user["tokenFile"].is_string() { SECRET } else { BASIC };
        follow(sent, cluster, &user, None).await.check(shows);
    }
    for named in ["http://me:sEkrit7@ADDRESS?x=sEkrit7", "ftp://me:sEkrit7@ADDRESS", "me:sEkrit7@ADDRESS"] {
        let seen = follow(BASIC, json!({}), &json!({"token": SECRET}), Some(named.to_owned())).await;
        seen.check(named);
    }
}

#[tokio::test]
async fn nothing_that_a_plugin_is_given_or_writes_is_ever_shown() {
    let plain = format!("to{SECRET}ken");
    let gives = prints(&json!({"token": plain}));
    for (shows, text) in [
        ("it works", gives.clone()),
        ("it fails", format!("{gives}\necho \"$1 $PLANTED {plain}\" >&2; exit 1")),
        ("it says so in JSON", format!("echo '{{\"token\":\"{SECRET}\"}}' >&2; exit 1")),
        (
            "it traces itself",
            format!("set -x; : \"$1\" \"$PLANTED\" \"$KUBERNETES_EXEC_INFO\"; {gives}\nfalse"),
        ),
        ("it prints its environment", "env >&2; exit 1".to_owned()),
        ("it prints what is no credential", format!("echo {SECRET}")),
        ("it gives a token that cannot be sent", prints(&json!({"token": format!("{SECRET}\n")}))),
        ("it gives no key", prints(&json!({"clientCertificateData": SECRET, "clientKeyData": SECRET}))),
    ] {
        let folder = script(&text);
        let user = json!({"exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
            "command": folder.path().join("plugin"), "args": [format!("--{SECRET}")],
            "env": [{"name": "PLANTED", "value": format!("{SECRET} {SECRET}")}],
        }});
        let seen = follow(&plain, json!({}), &user, None).await;
        seen.check(shows);
        assert!(seen.log.text().contains("lb_agent"), "the log is there: {}", seen.log.text());
    }
}
