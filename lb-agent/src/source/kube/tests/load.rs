//! An API server asked once, and credentials from files.

use serde_json::json;

use crate::api::testing::server::{Server, config_of, kubeconfig, service};
use crate::api::{Credentials, KubeConfig};
use crate::model::{Kind, NamespaceTopology};
use crate::source::kube::load;

#[tokio::test]
async fn one_list_of_each_kind_is_enough_and_no_watch_is_begun() {
    let server = Server::start().await;
    server.refuse(Kind::Service, 429, "Retry-After: 0\r\n");
    let mut odd = service("b", "4");
    odd["spec"] = json!("none");
    server.list(Kind::Service, "10", &[service("a", "3"), odd]);
    let config = server.config();
    let loaded = tokio::task::spawn_blocking(|| load(config, NamespaceTopology::Off)).await.unwrap().unwrap();
    assert_eq!((loaded.changes.len(), loaded.is_complete), (2, false));
    assert_eq!(loaded.problems[0].0.to_string(), "Service default/b");
    assert!(server.asked(Kind::Service).iter().all(|path| !path.contains("watch")));
}

#[tokio::test]
async fn a_right_that_is_missing_is_named() {
    let server = Server::start().await;
    server.refuse(Kind::Node, 403, "");
    let config = server.config();
    let error =
        tokio::task::spawn_blocking(|| load(config, NamespaceTopology::Off)).await.unwrap().unwrap_err();
    let said = format!("{:#}", anyhow::Error::from(error));
    assert_eq!(said, format!("could not list Nodes at {}: answered 403: no", server.address()));
}

#[tokio::test]
async fn a_kubeconfig_names_the_server_and_its_token_is_sent() {
    let server = Server::start().await;
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "first").unwrap();
    let file = kubeconfig(&server, token.path());
    let config = config_of(file.path());
    tokio::task::spawn_blocking(|| load(config, NamespaceTopology::Off)).await.unwrap().unwrap();
    let heads = server.heads();
    assert_eq!(heads.len(), 3);
    assert!(heads.iter().all(|head| head.contains("authorization: Bearer first\r\n")), "{heads:?}");

    let path = file.path().to_owned();
    let credentials = Credentials::Kubeconfig { file: Some(path.clone()), context: None };
    let config = KubeConfig { credentials, server: None };
    let error =
        tokio::task::spawn_blocking(|| load(config, NamespaceTopology::Off)).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), format!("could not use the kubeconfig {}", path.display()));
}
