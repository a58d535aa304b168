//! The API server behind a proxy.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::cluster::Cluster;
use crate::cluster::api::runtime_in;
use crate::cluster::parts::API_SERVER_PORT;

/// One cluster's API server, reached from within its network namespace.
#[derive(Clone)]
pub struct Upstream {
    tls: Arc<ClientConfig>,
    /// Stands in for the client's own.
    token: Option<String>,
    inside: Arc<Inside>,
}

/// A runtime in the cluster's namespace. Its last user may be a task, which may not wait for its end.
struct Inside(Option<Runtime>);

/// Bytes both ways.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Upstream {
    /// Asked with the token that the client sends.
    pub(super) fn of(cluster: &Cluster) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(cluster.authority.der())).context("not a certificate")?;
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .context("no version of TLS")?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let inside = Arc::new(Inside(Some(runtime_in(&cluster.netns)?)));
        Ok(Self { tls: Arc::new(tls), token: None, inside })
    }

    /// Asked with this token, whatever the client is to its own cluster.
    pub fn with_token(cluster: &Cluster, token: &str) -> Result<Self> {
        Ok(Self { token: Some(token.to_owned()), ..Self::of(cluster)? })
    }

    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    pub(super) async fn dial(&self) -> Result<TcpStream> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, API_SERVER_PORT));
        // A socket belongs to the namespace of the thread that makes it.
        let runtime = self.inside.0.as_ref().context("it has ended")?;
        let dialled = runtime.spawn(TcpStream::connect(address)).await;
        dialled.context("could not dial")?.context("could not reach the API server")
    }

    pub(super) async fn dial_tls(&self) -> Result<Box<dyn Stream>> {
        let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, self.dial().await?).await;
        Ok(Box::new(stream.context("no TLS with the API server")?))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upstream")
    }
}
