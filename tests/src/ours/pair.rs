//! A small site: a client's node with an agent's folder, and servers on another node.

use anyhow::Result;

use crate::harness::answer::Answer;
use crate::harness::load::Load;
use crate::harness::pod::Pod;
use crate::harness::site::Site;
use crate::ours::agent::{Agent, Folder, element};

/// The node `n1` has the client, and `n3` a pod `web` that answers at 10.244.1.3:9376. The folder of `n1`
/// says so, in pools `p1` and `p3`, and has the Service `web` at [`SERVICE`](Self::SERVICE).
pub struct Pair {
    pub client: Pod,
    pub web: Pod,
    pub folder: Folder,
    pub site: Site,
}

impl Pair {
    pub const SERVICE: &str = "10.96.0.11:80";

    pub fn new() -> Result<Self> {
        let site = Site::new()?;
        let node = site.node("n1")?;
        let client = node.pod("client", "10.244.1.2")?;
        let web = site.node("n3")?.pod("web", "10.244.1.3")?;
        web.serve_name(9376)?;
        let folder = Folder::of(&node)?;
        folder.put("nodes.yaml", "node n1 pool=p1\nnode n3 pool=p3")?;
        folder.put(
            "web.yaml",
            "service web 10.96.0.11:80\n\
             slice web-1 of web 9376 10.244.1.3@n3",
        )?;
        Ok(Self { client, web, folder, site })
    }

    /// Starts the agent of `n1` and waits until it is ready.
    pub fn agent(&self, flags: &[&str]) -> Result<Agent> {
        Agent::start(self.client.node(), flags)
    }

    /// One connection of the client.
    pub fn dial(&self, target: &str) -> Result<Answer> {
        Ok(self.client.dial(target, 1)?.remove(0))
    }

    /// Whether the Service `web` is answered.
    pub fn is_served(&self) -> Result<bool> {
        Ok(self.dial(Self::SERVICE)?.is_from("web"))
    }

    /// Dials the Service `web` all the time.
    pub fn load(&self) -> Result<Load> {
        self.client.dial_continuously(Self::SERVICE, 500, 2)
    }

    /// What the kernel holds for an address: its backends, `refused`, or `untouched`.
    pub fn holds(&self, address: &str) -> Result<String> {
        Ok(match element(self.client.node(), address)? {
            None => "untouched".to_owned(),
            Some(element) if element.backends.is_empty() => "refused".to_owned(),
            Some(element) => element.backends.join(" "),
        })
    }
}
