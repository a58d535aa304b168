//! A server that wants credentials, over TLS or without.

use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub(super) struct Guarded {
    pub(super) port: u16,
    shared: Arc<Shared>,
    _connections: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    /// What `Authorization` has to be; whatever it is, unless given.
    wanted: Mutex<Option<String>>,
    heads: Mutex<Vec<String>>,
}

impl Guarded {
    pub(super) async fn start(tls: Option<ServerConfig>) -> Self {
        Self::at(0, tls).await
    }

    pub(super) async fn at(port: u16, tls: Option<ServerConfig>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::<Shared>::default();
        let mut tasks = JoinSet::new();
        let of_all = Arc::clone(&shared);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            let acceptor = tls.map(|tls| TlsAcceptor::from(Arc::new(tls)));
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, shared) = (acceptor.clone(), Arc::clone(&of_all));
                connections.spawn(async move {
                    match acceptor {
                        None => serve(stream, &shared).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, &shared).await;
                            }
                        }
                    }
                });
            }
        });
        Self { port, shared, _connections: tasks }
    }

    pub(super) fn wants(&self, authorization: &str) {
        *self.shared.wanted.lock().unwrap() = Some(authorization.to_owned());
    }

    pub(super) fn heads(&self) -> Vec<String> {
        self.shared.heads.lock().unwrap().clone()
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { return };
            head.push(byte);
            if head == [0x16] {
                // A client that speaks TLS to a server that does not.
                drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await);
                return;
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let given = head.lines().find_map(|line| line.strip_prefix("authorization: "));
        let is_right = shared.wanted.lock().unwrap().as_deref().is_none_or(|wanted| given == Some(wanted));
        shared.heads.lock().unwrap().push(head);
        let status = if is_right { "200 OK" } else { "401 Unauthorized" };
        let response = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}");
        if stream.write_all(response.as_bytes()).await.is_err() {
            return;
        }
    }
}
