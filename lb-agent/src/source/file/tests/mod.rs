//! The folder as a state machine, and a real folder on a real file system.

mod absent;
mod folder;
mod follow;
mod load;
mod site;
mod tutorial;

use crate::model::{Change, Object, ObjectKey};

/// A Service `name` with one cluster IP.
fn service(name: &str, address: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: \"{name}\"}}\nspec: {{clusterIP: {address}, ports: [{{port: 80}}]}}\n"
    )
}

/// `+name=address` for each Service that now reads so, `-name` for each that is gone, `?name` for
/// each object that cannot be read, the kind for what is synced.
fn words(changes: &[Change]) -> String {
    let all = changes.iter().map(|change| match change {
        Change::Apply(Object::Service(service)) => {
            let addresses: Vec<String> = service.addresses.iter().map(ToString::to_string).collect();
            format!("+{}={}", service.name.name, addresses.join(","))
        }
        Change::Apply(other) => format!("+{}", other.key()),
        Change::Delete(ObjectKey { name, .. }) => format!("-{}", name.name),
        Change::Unread(unread) => format!("?{}", unread.key().name.name),
        Change::Synced(kind) => kind.label().to_owned(),
        Change::Endpoints(service) => format!("e{}", service.name),
        Change::NoEndpoints(service) => format!("no-e{}", service.name),
        Change::Incomplete => "incomplete".to_owned(),
        Change::Unlisted => "unlisted".to_owned(),
        Change::Complete => "complete".to_owned(),
    });
    all.collect::<Vec<_>>().join(" ")
}
