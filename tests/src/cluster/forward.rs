//! A port that leads to the API server: on this machine for people, and in a node's own network.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::harness::host_network::HostNetwork;
use crate::harness::netns::Netns;

use super::api::runtime_in;
use super::parts::API_SERVER_PORT;
use super::{Cluster, users};

/// Open while it lives.
pub struct Forward {
    _runtime: Runtime,
    kubeconfig: PathBuf,
}

impl Forward {
    /// Listens on a free port of 127.0.0.1 in the caller's network namespace.
    pub fn open(cluster: &Cluster) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("could not listen")?;
        let port = listener.local_addr().context("a listener without an address")?.port();
        let runtime = pass_on(&cluster.netns, listener)?;
        let file = cluster.folder.join("forward.conf");
        let token = users::token_of(&cluster.users, users::ADMIN)?;
        let server = format!("https://127.0.0.1:{port}");
        users::write_kubeconfig(&file, &server, &cluster.authority.pem(), token)?;
        Ok(Self { _runtime: runtime, kubeconfig: file })
    }

    /// Listens in a node's own network where the API server does in the control plane's, so that kubeconfigs of the
    /// control plane hold there, too.
    pub fn into_host(cluster: &Cluster, host: &HostNetwork) -> Result<Self> {
        let at = (Ipv4Addr::LOCALHOST, API_SERVER_PORT);
        let listener = host.netns.run(|| TcpListener::bind(at).context("could not listen"))?;
        Ok(Self { _runtime: pass_on(&cluster.netns, listener)?, kubeconfig: cluster.kubeconfig() })
    }

    /// With an administrator's rights.
    #[must_use]
    pub fn kubeconfig(&self) -> &std::path::Path {
        &self.kubeconfig
    }
}

/// Connections to `listener`, in whichever network that is, lead to the API server in the control plane's, while what
/// is returned lives.
pub(super) fn pass_on(control_plane: &Arc<Netns>, listener: TcpListener) -> Result<Runtime> {
    listener.set_nonblocking(true).context("could not listen without waiting")?;
    let runtime = runtime_in(control_plane)?;
    runtime.spawn(async move {
        // It stays a socket of the namespace that it was made in.
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => serve(&listener).await,
            Err(error) => eprintln!("could not listen: {error}"),
        }
    });
    Ok(runtime)
}

async fn serve(listener: &tokio::net::TcpListener) {
    loop {
        match listener.accept().await {
            Ok((mut outside, _)) => drop(tokio::spawn(async move {
                if let Ok(mut inside) = TcpStream::connect((Ipv4Addr::LOCALHOST, API_SERVER_PORT)).await {
                    // How it ends is for those at both ends.
                    copy_bidirectional(&mut outside, &mut inside).await.ok();
                }
            })),
            Err(error) => {
                eprintln!("could not accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
