//! Asks a DNS server as programs in Rust do: by the resolver library of hickory.

use std::net::IpAddr;
use std::process;

use anyhow::{Context, Result};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

use crate::{join, say, socket};

/// One line for each of `count` questions: the addresses of `name`, or what went wrong in words. All are asked at the same time.
pub(crate) fn run(server: IpAddr, name: &str, count: usize) -> Result<()> {
    join::at_end_of_input(|| process::exit(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("could not make a runtime")?.block_on(ask(server, name, count))
}

async fn ask(server: IpAddr, name: &str, count: usize) -> Result<()> {
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![NameServerConfig::udp(server)]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    // Every question is to reach the server, once.
    (options.cache_size, options.attempts, options.timeout) = (0, 0, socket::PATIENCE);
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    let resolver = builder.build().context("could not make a resolver")?;
    let name = format!("{name}.");
    let questions = (0..count).map(|_| {
        let (resolver, name) = (resolver.clone(), name.clone());
        tokio::spawn(async move { resolver.lookup_ip(name).await })
    });
    for question in questions.collect::<Vec<_>>() {
        let answer = question.await.context("a question did not end")?;
        say(&answer.map_or_else(
            |error| error.to_string(),
            |found| found.iter().map(|address| address.to_string()).collect::<Vec<_>>().join(" "),
        ))?;
    }
    Ok(())
}
