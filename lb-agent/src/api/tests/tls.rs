//! Certificates of servers and of clients.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::guarded::Guarded;
use crate::api::testing::scripts::{prints, script};
use crate::api::{ApiClient, ConnectError, Credentials, KubeConfig};

struct Identity {
    certificate: Certificate,
    key: KeyPair,
}

/// A self-signed certificate of an authority, as `openssl req -x509` makes it.
fn identity(name: &str) -> Identity {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    Identity { certificate: params.self_signed(&key).unwrap(), key }
}

impl Identity {
    /// Another certificate, which this authority signs.
    fn sign(&self, name: &str) -> Self {
        let mut authority = CertificateParams::new([name.to_owned()]).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = Issuer::from_params(&authority, &self.key);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        Self { certificate: params.signed_by(&key, &issuer).unwrap(), key }
    }

    fn server(&self, clients: Option<&Self>) -> ServerConfig {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(authority.certificate.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        builder.with_single_cert(vec![self.certificate.der().clone()], key).unwrap()
    }

    fn data(&self) -> String {
        STANDARD.encode(self.certificate.pem())
    }
}

/// A client for a cluster with these fields besides its server, and for this user.
async fn client(port: u16, cluster: Value, user: &Value) -> Result<ApiClient, ConnectError> {
    let folder = TempDir::new().unwrap();
    let mut cluster = cluster;
    cluster["server"] = json!(format!("https://127.0.0.1:{port}"));
    let text = json!({
        "current-context": "x",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    });
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, text.to_string()).unwrap();
    let credentials = Credentials::Kubeconfig { file: Some(file), context: None };
    ApiClient::new(KubeConfig { credentials, server: None }, None).await
}

async fn ask(port: u16, cluster: Value, user: &Value) -> String {
    let client = match client(port, cluster, user).await {
        Ok(client) => client,
        Err(error) => return crate::shown::chain(&error),
    };
    match client.get("/version", "application/json", Duration::from_secs(20)).await {
        Ok(_) => "200".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_server_is_trusted_by_its_own_certificate_and_by_no_other() {
    let (own, other) = (identity("127.0.0.1"), identity("127.0.0.1"));
    let server = Guarded::start(Some(own.server(None))).await;
    let both = STANDARD.encode(format!("{}\nx\n{}", other.certificate.pem(), own.certificate.pem()));
    for (shows, cluster, expected) in [
        ("its own", json!({"certificate-authority-data": own.data()}), "200"),
        ("its own among others", json!({"certificate-authority-data": both}), "200"),
        ("another", json!({"certificate-authority-data": other.data()}), "is not trusted: its certificate"),
        ("the system's", json!({}), "is not trusted: its certificate"),
        ("any", json!({"insecure-skip-tls-verify": true}), "200"),
        (
            "its own, by another name",
            json!({"certificate-authority-data": own.data(), "tls-server-name": "other"}),
            "is not trusted: certificate not valid for name \"other\"",
        ),
        (
            "no certificate",
            json!({"certificate-authority-data": STANDARD.encode("x")}),
            "the certificate-authority-data of the kubeconfig holds no certificate that can be used",
        ),
        (
            "no name",
            json!({"certificate-authority-data": own.data(), "tls-server-name": "a b"}),
            "the tls-server-name of the kubeconfig \"a b\" is no name that a certificate can have",
        ),
    ] {
        let found = ask(server.port, cluster, &json!({})).await;
        assert!(found.starts_with(expected), "{shows}: {found}");
    }
}

#[tokio::test]
async fn a_server_without_tls_is_no_riddle() {
    let server = Guarded::start(None).await;
    let found = ask(server.port, json!({"insecure-skip-tls-verify": true}), &json!({})).await;
    assert!(found.ends_with("it does not speak TLS: should the address begin with http://?"), "{found}");
}

#[tokio::test]
async fn a_client_shows_its_certificate() {
    let (own, authority) = (identity("127.0.0.1"), identity("clients"));
    let (me, other) = (authority.sign("clients"), identity("other"));
    let server = Guarded::start(Some(own.server(Some(&authority)))).await;
    let cluster = || json!({"certificate-authority-data": own.data()});
    let user = |certificate: &Identity, key: &str| json!({"client-certificate-data": certificate.data(), "client-key-data": STANDARD.encode(key)});
    let key = me.key.serialize_pem();
    let garbage = json!({"client-certificate-data": "eA==", "client-key-data": STANDARD.encode(&key)});
    for (shows, user, expected) in [
        ("its own", user(&me, &key), "200"),
        (
            "a key of another",
            user(&me, &other.key.serialize_pem()),
            "and the client key do not belong together",
        ),
        ("no key", user(&me, "x"), "the client-key-data of the kubeconfig holds no private key"),
        ("no certificate", garbage, "holds no certificate"),
        (
            "none",
            json!({}),
            "it refused TLS with CertificateRequired: does it take this client's certificate?",
        ),
    ] {
        let found = ask(server.port, cluster(), &user).await;
        assert!(found.contains(expected), "{shows}: {found}");
        assert!(!found.contains("PRIVATE KEY"), "{shows}: {found}");
    }
}

#[tokio::test]
async fn a_plugin_may_give_a_client_certificate() {
    let (own, authority) = (identity("127.0.0.1"), identity("clients"));
    let me = authority.sign("clients");
    let server = Guarded::start(Some(own.server(Some(&authority)))).await;
    let given =
        json!({"clientCertificateData": me.certificate.pem(), "clientKeyData": me.key.serialize_pem()});
    let folder = script(&prints(&given));
    let user = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
        "command": folder.path().join("plugin"),
    }});
    assert_eq!(ask(server.port, json!({"certificate-authority-data": own.data()}), &user).await, "200");
}
