//! What the kernel's verifier says of our programs.

use anyhow::{Context, Result, bail};
use aya::programs::{CgroupSockAddr, ProgramError};
use aya::{EbpfLoader, VerifierLogLevel};
use edgeloop_tests::verifier::{Statement, Variant};
use lb_agent::datapath::programs::load::OBJECT;
use nix::libc;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

use crate::say;

/// One line a program.
///
/// aya asks for the verifier's log only after a load that failed. So the last step of each load has to fail: the descriptor
/// of a program that the verifier has taken, in a process that may open no more of them.
pub(crate) fn run(variant: Variant) -> Result<()> {
    // Kernels before 5.11 count maps against it. On later ones it does not matter whether it may be raised.
    _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
    let mut loader = EbpfLoader::new();
    loader.btf(None).verifier_log_level(VerifierLogLevel::STATS);
    let all = u8::from(variant.is_everything());
    for constant in ["LOADS_REORDER", "REPLACES", "TCP_PEERNAME"] {
        loader.override_global(constant, &all, true);
    }
    let mut object = loader.load(OBJECT).context("could not make the maps")?;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, 0, most).context("could not lower a limit")?;
    for (name, program) in object.programs_mut() {
        let program: &mut CgroupSockAddr = program.try_into()?;
        match program.load() {
            Err(ProgramError::LoadError { io_error, verifier_log }) => say(&Statement {
                program: name.to_owned(),
                is_taken: io_error.raw_os_error() == Some(libc::EMFILE),
                log: verifier_log.to_string(),
            })?,
            Err(error) => return Err(error).with_context(|| format!("could not load {name}")),
            Ok(()) => bail!("{name} was loaded without a descriptor"),
        }
    }
    Ok(())
}
