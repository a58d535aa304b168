//! One way to an API server, shared by all that ask it: connections, trust and credentials, renewed as needed.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use http::Uri;
use http::header::AUTHORIZATION;
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::client::Body;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::config::{ConnectError, KubeConfig};
use super::credentials::{Credentials, Renewed};
use super::dial::{OwnSockets, dial};
use super::material::Loaded;
use super::plugin::{self, IssuedPair};
use super::renewal::Need;
use super::session::Session;
use crate::shown::chain;

/// Files are looked at this often where nothing else asks for it.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// After a refusal they are looked at before the next request, but not more often than so.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// What could not be read is then read again, whether or not it looks otherwise: the cause may lie in another file.
const READ_AGAIN: Duration = Duration::from_secs(5);
/// No plugin may take longer.
const PLUGIN_LIMIT: Duration = Duration::from_secs(30);
/// A plugin that runs is waited for so long where there are credentials that may still do.
const PLUGIN_WAIT: Duration = Duration::from_secs(5);

pub(crate) struct Connection {
    config: KubeConfig,
    own: OwnSockets,
    state: Mutex<State>,
    /// A plugin's run has ended.
    ended: watch::Sender<()>,
}

struct State {
    loaded: Loaded,
    credentials: Credentials,
    client: kube::Client,
    looked: Instant,
    read: Instant,
    /// Something was refused: certificates, keys or credentials may have been replaced.
    is_refused: bool,
    /// Why they could not be read again.
    problem: Option<String>,
}

impl Connection {
    /// Reads what there is to read. No plugin is run yet, and nothing is dialled.
    ///
    /// # Errors
    /// There is nothing to connect to, or the credentials cannot be used.
    pub(crate) fn new(config: KubeConfig, own: OwnSockets) -> Result<Arc<Self>, ConnectError> {
        let loaded = Loaded::load(&config)?;
        let now = Instant::now();
        let credentials = Credentials::of(&loaded.access.identity, now)?;
        let client = client(&loaded, None, &own)?;
        let state =
            State { loaded, credentials, client, looked: now, read: now, is_refused: false, problem: None };
        Ok(Arc::new(Self { config, own, state: Mutex::new(state), ended: watch::Sender::new(()) }))
    }

    pub(crate) fn server(&self) -> Uri {
        self.lock().loaded.access.server.clone()
    }

    pub(crate) fn are_secrets_held_back(&self) -> bool {
        self.lock().loaded.are_secrets_held_back
    }

    pub(crate) fn is_unclaimed(&self) -> bool {
        self.own.failed()
    }

    /// What the next request is sent with. It may have to wait for a plugin.
    ///
    /// # Errors
    /// There are no credentials: why.
    pub(crate) async fn session(self: &Arc<Self>) -> Result<Session, String> {
        let start = Instant::now();
        loop {
            let mut ended = self.ended.subscribe();
            let wait = match self.ready(start)? {
                Ready::Yes(session) => return Ok(*session),
                Ready::In(wait) => wait,
            };
            // Whether it has ended, or has taken too long, is seen in the next round.
            drop(timeout(wait, ended.changed()).await);
        }
    }

    fn ready(self: &Arc<Self>, start: Instant) -> Result<Ready, String> {
        let mut state = self.lock();
        let now = Instant::now();
        state.look(&self.config, &self.own, now);
        let State { loaded, credentials, .. } = &mut *state;
        let authorization = match credentials {
            Credentials::Fixed(header) => header.clone(),
            Credentials::File(token) => {
                match token.refresh(now) {
                    Ok(()) => token.problem = None,
                    Err(error) => note(&mut token.problem, &chain(&error)),
                }
                Some(token.last().cloned().ok_or("the token file could not be read")?)
            }
            Credentials::Plugin(renewed) => {
                let need = renewed.need();
                if need != Need::No && renewed.may_run(now) {
                    self.run(renewed, loaded);
                }
                let waited = now.duration_since(start);
                let wait = match (&renewed.held, need) {
                    (Some(_), Need::Now) => PLUGIN_WAIT.saturating_sub(waited),
                    (None, _) => PLUGIN_LIMIT,
                    (Some(_), Need::No | Need::Soon) => Duration::ZERO,
                };
                if !renewed.run.is_empty() && !wait.is_zero() {
                    return Ok(Ready::In(wait));
                }
                let Some(held) = &renewed.held else {
                    return Err(renewed.error.clone().unwrap_or_default());
                };
                held.issued.authorization.clone()
            }
        };
        let mut headers = loaded.access.impersonation.clone();
        headers.extend(authorization.map(|value| (AUTHORIZATION, value)));
        Ok(Ready::Yes(Box::new(Session {
            client: state.client.clone(),
            server: state.loaded.access.server.clone(),
            headers,
            serial: state.credentials.serial(),
        })))
    }

    /// Runs the plugin on the runtime, and takes in what it gives.
    fn run(self: &Arc<Self>, renewed: &mut Renewed, loaded: &Loaded) {
        let (plugin, request) = (renewed.plugin.clone(), loaded.plugin_request.clone());
        let connection = Arc::downgrade(self);
        renewed.run.spawn(async move {
            let result = plugin::run(&plugin, &request, PLUGIN_LIMIT).await;
            // Without it there is nothing that wants credentials.
            if let Some(connection) = Weak::upgrade(&connection) {
                connection.take_in(result);
            }
        });
    }

    fn take_in(&self, result: Result<plugin::Issued, plugin::PluginError>) {
        let mut state = self.lock();
        let before = state.credentials.pair().cloned();
        if let Credentials::Plugin(renewed) = &mut state.credentials {
            let error = renewed.ended(Instant::now(), result);
            // This very task: it is at its end, and nothing is to abort it.
            renewed.run.detach_all();
            if let Some(error) = error {
                tracing::warn!(error, "no new credentials; the last ones are used, if there are any");
            }
        }
        if state.credentials.pair() != before.as_ref() {
            state.connect(&self.own);
        }
        drop(state);
        self.ended.send_replace(());
    }

    /// What became of a request that was sent with `session`.
    pub(crate) fn judge(&self, session: &Session, is_refused: bool) {
        let mut state = self.lock();
        state.credentials.judge(session.serial, is_refused);
        state.is_refused |= is_refused;
    }

    /// A connection has failed: of those that wait for their next use nothing shows whether they are alive.
    pub(crate) fn forget_connections(&self) {
        self.lock().connect(&self.own);
    }

    /// The server, or what it was shown, was not trusted.
    pub(crate) fn doubt_certificates(&self) {
        self.lock().is_refused = true;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two of its changes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Ready {
    Yes(Box<Session>),
    /// Not until a plugin has ended, or this time has passed.
    In(Duration),
}

impl State {
    /// Reads all files again where one of them has changed, or, after a refusal, once in a while.
    fn look(&mut self, config: &KubeConfig, own: &OwnSockets, now: Instant) {
        let every = if self.is_refused { LOOK_AGAIN } else { LOOK_EVERY };
        if now.duration_since(self.looked) < every {
            return;
        }
        self.looked = now;
        let is_refused = std::mem::take(&mut self.is_refused);
        let read_ago = now.duration_since(self.read);
        let is_due = match self.problem {
            Some(_) => read_ago >= READ_AGAIN,
            None => is_refused && read_ago >= LOOK_EVERY,
        };
        if !is_due && !self.loaded.files.have_changed() {
            return;
        }
        self.read = now;
        match Loaded::load(config).and_then(|loaded| self.replace(loaded, own, now)) {
            Ok(()) => self.problem = None,
            Err(error) => {
                self.loaded.files.look_again();
                note(&mut self.problem, &chain(&error));
            }
        }
    }

    /// Goes on with what was read anew, if it can be used as a whole. A plugin's credentials stay where the
    /// plugin does.
    fn replace(&mut self, loaded: Loaded, own: &OwnSockets, now: Instant) -> Result<(), ConnectError> {
        let is_same = loaded.access.identity == self.loaded.access.identity;
        let renewed = if is_same { None } else { Some(Credentials::of(&loaded.access.identity, now)?) };
        let issued = renewed.as_ref().unwrap_or(&self.credentials).pair();
        self.client = client(&loaded, issued, own)?;
        self.loaded = loaded;
        if let Some(renewed) = renewed {
            self.credentials = renewed;
        }
        Ok(())
    }

    /// New connections are made from now on, as what was read last says.
    fn connect(&mut self, own: &OwnSockets) {
        match client(&self.loaded, self.credentials.pair(), own) {
            Ok(client) => self.client = client,
            Err(error) => note(&mut self.problem, &chain(&error)),
        }
    }
}

/// Logs a problem when it is a new one.
fn note(problem: &mut Option<String>, error: &str) {
    if problem.as_deref() != Some(error) {
        tracing::warn!(error, "could not read the credentials again; the last ones are used");
        *problem = Some(error.to_owned());
    }
}

type Dialling = std::pin::Pin<Box<dyn Future<Output = io::Result<TokioIo<TcpStream>>> + Send>>;

/// A client without any connection yet. Requests are repeated by those that send them, not here.
fn client(
    loaded: &Loaded,
    issued: Option<&IssuedPair>,
    own: &OwnSockets,
) -> Result<kube::Client, ConnectError> {
    let own = own.clone();
    let connect = tower::service_fn(move |uri: Uri| -> Dialling { Box::pin(dial(uri, own.clone())) });
    let builder = HttpsConnectorBuilder::new().with_tls_config(loaded.tls(issued)?).https_or_http();
    let builder = match loaded.server_name.clone() {
        Some(name) => builder.with_server_name_resolver(FixedServerNameResolver::new(name)),
        None => builder,
    };
    let connector = builder.enable_http1().wrap_connector(connect);
    let http = HttpClient::builder(TokioExecutor::new()).build::<_, Body>(connector);
    Ok(kube::Client::new(http, "default"))
}
