//! One context of a kubeconfig into one way to an API server. Pure.

use http::{HeaderName, HeaderValue};

use super::server::{Server, server, without_secrets};
use super::{
    Cluster, Context, Exec, ExecFault, Fault, Impersonate, Kubeconfig, ServerCheck, Source, Unsendable, User,
};
use crate::api::access::{Access, Identity, KeyPair, Material, Trust, basic, bearer, header};
use crate::api::plugin::{ApiVersion, ClusterInfo, Plugin};
use crate::api::secret::Secret;

/// What kubectl would do in this context, or in the current one.
///
/// 1. What the context names has to be there, but for a user: without one it is an anonymous one.
/// 2. Nothing is said twice: neither data and file, nor token and password, nor CA and insecure.
/// 3. A user in the address comes first, then token or password. A token's file comes before the token while it
///    can be read. A plugin is asked only where there is neither, and no client certificate.
/// 4. A client certificate goes with each of them. A key without one does not matter.
///
/// # Errors
/// What is missing, contradicts itself, or is not supported.
pub(crate) fn choose(kubeconfig: &Kubeconfig, context: Option<&str>) -> Result<Access, Fault> {
    let name = context.unwrap_or(&kubeconfig.current_context);
    if name.is_empty() {
        return Err(Fault::NoContext);
    }
    let missing = |what, name: &str| Fault::Missing { what, name: name.to_owned() };
    let Context { cluster, user } = kubeconfig.contexts.get(name).ok_or_else(|| missing("context", name))?;
    let anonymous = User::default();
    let found = match user.as_str() {
        "" => &anonymous,
        name => kubeconfig.users.get(name).ok_or_else(|| missing("user", name))?,
    };
    let names = Names { cluster, user };
    let cluster = kubeconfig.clusters.get(cluster).ok_or_else(|| missing("cluster", cluster))?;
    names.access(cluster, found)
}

/// Whose the faults are.
struct Names<'a> {
    cluster: &'a str,
    user: &'a str,
}

impl Names<'_> {
    fn access(&self, cluster: &Cluster, user: &User) -> Result<Access, Fault> {
        let certificate = self.certificate(user)?;
        let authority = cluster.authority.one(|| Fault::ClusterBoth {
            cluster: self.cluster.to_owned(),
            one: "certificate-authority",
            other: "certificate-authority-data",
        })?;
        let has_tls = authority.is_some() || certificate.is_some() || cluster.check == ServerCheck::Skipped;
        let Server { uri, user: in_address } = self.server(cluster, has_tls)?;
        let trust = match (authority, cluster.check) {
            (Some(_), ServerCheck::Skipped) if uri.scheme_str() == Some("https") => {
                return Err(Fault::ClusterBoth {
                    cluster: self.cluster.to_owned(),
                    one: "insecure-skip-tls-verify",
                    other: "a certificate authority",
                });
            }
            (_, ServerCheck::Skipped) => Trust::Any,
            (Some(authority), ServerCheck::Certificate) => Trust::Authorities(authority),
            (None, ServerCheck::Certificate) => Trust::System,
        };
        let identity = match in_address {
            Some((name, password)) => {
                Identity::Fixed(self.sendable("server", basic(&name, password.expose()))?)
            }
            None => self.identity(user, certificate.is_some(), cluster)?,
        };
        Ok(Access {
            server: uri,
            trust,
            server_name: Some(cluster.tls_server_name.clone()).filter(|name| !name.is_empty()),
            identity,
            certificate,
            impersonation: self.impersonation(&user.impersonate)?,
            proxy: Some(proxy(&cluster.proxy_url)).filter(|proxy| !proxy.is_empty()),
        })
    }

    fn server(&self, cluster: &Cluster, has_tls: bool) -> Result<Server, Fault> {
        if cluster.server.is_empty() {
            return Err(Fault::NoServer { cluster: self.cluster.to_owned() });
        }
        server(&cluster.server, has_tls).map_err(|why| Fault::Server {
            cluster: self.cluster.to_owned(),
            server: without_secrets(&cluster.server),
            why,
        })
    }

    fn both(&self, one: &'static str, other: &'static str) -> Fault {
        Fault::UserBoth { user: self.user.to_owned(), one, other }
    }

    fn certificate(&self, user: &User) -> Result<Option<KeyPair>, Fault> {
        let both = || self.both("client-certificate", "client-certificate-data");
        let Some(certificate) = user.certificate.one(both)? else { return Ok(None) };
        let key = user.key.one(|| self.both("client-key", "client-key-data"))?;
        let key = key.ok_or_else(|| Fault::NoKey { user: self.user.to_owned() })?;
        Ok(Some(KeyPair { certificate, key }))
    }

    fn identity(&self, user: &User, has_certificate: bool, cluster: &Cluster) -> Result<Identity, Fault> {
        let has_token = !user.token.expose().is_empty();
        let has_file = !user.token_file.as_os_str().is_empty();
        let has_password = !user.username.is_empty() || !user.password.expose().is_empty();
        if has_password && (has_token || has_file) {
            return Err(self.both("a token", "a username or password"));
        }
        let plugin = user.exec.as_ref().map(|exec| self.plugin(exec, cluster)).transpose()?;
        if let Some(provider) = &user.auth_provider {
            return Err(match plugin {
                Some(_) => self.both("auth-provider", "exec"),
                None => Fault::AuthProvider { user: self.user.to_owned(), provider: provider.clone() },
            });
        }
        let token =
            if has_token { Some(self.sendable("the token", bearer(user.token.expose()))?) } else { None };
        Ok(match (token, plugin) {
            (otherwise, _) if has_file => Identity::TokenFile { file: user.token_file.clone(), otherwise },
            (Some(token), _) => Identity::Fixed(token),
            (None, _) if has_password => {
                Identity::Fixed(self.sendable("the password", basic(&user.username, user.password.expose()))?)
            }
            (None, Some(plugin)) if !has_certificate => {
                if user.exec.as_ref().is_some_and(|exec| exec.interactive_mode == "Always") {
                    return Err(self.exec(ExecFault::Interactive));
                }
                Identity::Plugin(Box::new(plugin))
            }
            (None, _) => Identity::Anonymous,
        })
    }

    fn exec(&self, wrong: ExecFault) -> Fault {
        Fault::Exec { user: self.user.to_owned(), wrong }
    }

    fn plugin(&self, exec: &Exec, cluster: &Cluster) -> Result<Plugin, Fault> {
        let wrong = |wrong| Err(self.exec(wrong));
        if exec.command.as_os_str().is_empty() {
            return wrong(ExecFault::NoCommand);
        }
        if exec.env.expose().iter().any(|(name, _)| name.is_empty()) {
            return wrong(ExecFault::NamelessEnv);
        }
        let api_version = match exec.api_version.as_str() {
            "" => return wrong(ExecFault::NoVersion),
            "client.authentication.k8s.io/v1" => ApiVersion::V1,
            "client.authentication.k8s.io/v1beta1" => ApiVersion::V1Beta1,
            other => return wrong(ExecFault::Version(other.to_owned())),
        };
        match (exec.interactive_mode.as_str(), api_version) {
            ("Never" | "IfAvailable" | "Always", _) | ("", ApiVersion::V1Beta1) => {}
            ("", ApiVersion::V1) => return wrong(ExecFault::NoMode),
            (other, _) => return wrong(ExecFault::Mode(other.to_owned())),
        }
        Ok(Plugin {
            command: exec.command.clone(),
            args: exec.args.clone(),
            env: exec.env.clone(),
            api_version,
            install_hint: exec.install_hint.clone(),
            cluster: exec.provide_cluster_info.then(|| info(cluster)),
        })
    }

    fn impersonation(&self, who: &Impersonate) -> Result<Vec<(HeaderName, HeaderValue)>, Fault> {
        let Impersonate { user, uid, groups, extra } = who;
        if user.is_empty() {
            return if uid.is_empty() && groups.is_empty() && extra.is_empty() {
                Ok(Vec::new())
            } else {
                Err(Fault::GroupsWithoutUser { user: self.user.to_owned() })
            };
        }
        let mut headers = Vec::new();
        let mut add = |field, name: HeaderName, value: &str| {
            headers.push((name, self.sendable(field, header(value.as_bytes()))?));
            Ok(())
        };
        add("as", HeaderName::from_static("impersonate-user"), user)?;
        if !uid.is_empty() {
            add("as-uid", HeaderName::from_static("impersonate-uid"), uid)?;
        }
        for group in groups {
            add("as-groups", HeaderName::from_static("impersonate-group"), group)?;
        }
        for (key, values) in extra {
            let name = HeaderName::from_bytes(format!("impersonate-extra-{}", escaped(key)).as_bytes());
            let name = self.sendable("as-user-extra", name.map_err(|_long| Unsendable::Long))?;
            for value in values {
                add("as-user-extra", name.clone(), value)?;
            }
        }
        Ok(headers)
    }

    fn sendable<T>(&self, field: &'static str, value: Result<T, Unsendable>) -> Result<T, Fault> {
        value.map_err(|wrong| Fault::Unsendable { user: self.user.to_owned(), field, wrong })
    }
}

/// The address is that of the access.
fn info(cluster: &Cluster) -> ClusterInfo {
    ClusterInfo {
        tls_server_name: cluster.tls_server_name.clone(),
        check: cluster.check,
        proxy_url: Secret::new(cluster.proxy_url.clone()),
        disable_compression: cluster.has_no_compression,
        config: Secret::new(cluster.for_plugins.clone()),
    }
}

impl Source {
    /// The one that is there.
    fn one(&self, both: impl FnOnce() -> Fault) -> Result<Option<Material>, Fault> {
        match (self.file.as_os_str().is_empty(), self.data.expose().is_empty()) {
            (false, false) => Err(both()),
            (false, true) => Ok(Some(Material::File(self.file.clone()))),
            (true, false) => Ok(Some(Material::Inline(self.data.clone()))),
            (true, true) => Ok(None),
        }
    }
}

/// Of a proxy's address only the host is shown: it may hold a password.
fn proxy(url: &str) -> String {
    let shown = without_secrets(url);
    let host = shown.split("://").last().unwrap_or_default();
    host.split('/').next().unwrap_or_default().to_owned()
}

/// A key of `as-user-extra` as a part of a header's name, escaped as client-go does.
fn escaped(key: &str) -> String {
    let mut escaped = String::new();
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped += &format!("%{byte:02X}");
        }
    }
    escaped
}
