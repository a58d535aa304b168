//! The pages of `docs/reference`, which are written from the program. `EDGELOOP_RECORD_PAGES=1` writes them.

#[cfg(test)]
mod commands;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod page;
#[cfg(test)]
mod schemas;
