//! `lb-agent plan` as an operator runs it.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod folder;
#[cfg(test)]
mod questions;
#[cfg(test)]
mod tutorial;
