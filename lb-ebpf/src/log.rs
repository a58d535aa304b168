//! What the programs say of each call, for people who look for a fault.
//!
//! Only in an object of its own (the feature `program-log`): in the ordinary one `log!` is nothing, and its arguments are
//! not evaluated. Every line begins with the process, since those of several processors mix.

/// Calls a function of this file, with its arguments, where there is a log.
macro_rules! log {
    ($line:ident($($argument:expr),*)) => {
        #[cfg(feature = "program-log")]
        {
            if $crate::settings::logs() {
                $crate::log::lines::$line($($argument),*);
            }
        }
    };
}
pub(crate) use log;

#[cfg(feature = "program-log")]
pub(crate) mod lines {
    use aya_ebpf::helpers::bpf_get_current_pid_tgid;
    use aya_log_ebpf::info;
    use lb_common::layout::{Backend4, Backend6, Frontend4, Frontend6};
    use lb_common::outcome::Outcome;

    /// Which process makes the call. The lines are functions of their own, which the verifier goes through one by one.
    #[inline(always)]
    fn process() -> u32 {
        (bpf_get_current_pid_tgid() >> 32) as u32
    }

    #[inline(always)]
    pub(crate) fn dialled(hook: u32, frontend: &Frontend4) {
        dials(hook, u32::from_be_bytes(frontend.address), u16::from_be_bytes(frontend.port).into());
    }

    #[inline(never)]
    fn dials(hook: u32, address: u32, port: u32) {
        info!(&(), "process {} dials {:i}:{} (connect{})", process(), address, port, hook);
    }

    #[inline(always)]
    pub(crate) fn dialled6(frontend: &Frontend6) {
        dials6(&frontend.address, u16::from_be_bytes(frontend.port).into());
    }

    #[inline(never)]
    fn dials6(address: &[u8; 16], port: u32) {
        info!(&(), "process {} dials [{:i}]:{} (connect6)", process(), *address, port);
    }

    #[inline(always)]
    pub(crate) fn sends(frontend: &Frontend4) {
        sends_to(u32::from_be_bytes(frontend.address), u16::from_be_bytes(frontend.port).into());
    }

    #[inline(never)]
    fn sends_to(address: u32, port: u32) {
        info!(&(), "process {} sends to {:i}:{} (sendmsg4)", process(), address, port);
    }

    #[inline(always)]
    pub(crate) fn sends6(frontend: &Frontend6) {
        sends_to6(&frontend.address, u16::from_be_bytes(frontend.port).into());
    }

    #[inline(never)]
    fn sends_to6(address: &[u8; 16], port: u32) {
        info!(&(), "process {} sends to [{:i}]:{} (sendmsg6)", process(), *address, port);
    }

    /// `owner` is id and revision.
    #[inline(never)]
    pub(crate) fn found(owner: u64, backends: u32) {
        let (id, revision) = (owner as u32, (owner >> 32) as u32);
        info!(&(), "process {}: service id {}, revision {}, {} backends", process(), id, revision, backends);
    }

    #[inline(always)]
    pub(crate) fn gets(backend: &Backend4) {
        is_sent(u32::from_be_bytes(backend.address), u16::from_be_bytes(backend.port).into());
    }

    #[inline(never)]
    fn is_sent(address: u32, port: u32) {
        info!(&(), "process {} is sent to {:i}:{}", process(), address, port);
    }

    #[inline(always)]
    pub(crate) fn gets6(backend: &Backend6) {
        is_sent6(&backend.address, u16::from_be_bytes(backend.port).into());
    }

    #[inline(never)]
    fn is_sent6(address: &[u8; 16], port: u32) {
        info!(&(), "process {} is sent to [{:i}]:{}", process(), *address, port);
    }

    #[inline(always)]
    pub(crate) fn ended(outcome: Outcome) {
        ends(outcome as u32);
    }

    /// The texts are [`Outcome::label`]'s, in words.
    #[inline(never)]
    fn ends(outcome: u32) {
        if outcome == Outcome::NotAService as u32 {
            info!(&(), "process {}: allowed, no Service is there", process());
        } else if outcome == Outcome::NoBackends as u32 {
            info!(&(), "process {}: refused, the Service has no backend for this node", process());
        } else if outcome == Outcome::Unproven as u32 {
            info!(&(), "process {}: refused, what the maps hold does not prove itself", process());
        } else if outcome == Outcome::AgentSocket as u32 {
            info!(&(), "process {}: allowed, the socket is the agent's own", process());
        }
    }
}
