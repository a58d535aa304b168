//! What the programs decide of each call, as records for `lb-agent trace`.
//!
//! Only in the object that also has the log (the feature `program-log`), and there only where the agent asks for it when it loads
//! the programs: in the ordinary one `trace!` is nothing, and its arguments are not evaluated.

/// Calls a function of this file, with its arguments, where decisions are recorded.
macro_rules! trace {
    ($line:ident($($argument:expr),*)) => {
        #[cfg(feature = "program-log")]
        {
            if $crate::settings::traces() {
                $crate::trace::records::$line($($argument),*);
            }
        }
    };
}
pub(crate) use trace;

#[cfg(feature = "program-log")]
pub(crate) mod records {
    use aya_ebpf::btf_maps::{HashMap, PerCpuArray, RingBuf};
    use aya_ebpf::helpers::generated::bpf_get_current_cgroup_id;
    use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_boot_ns};
    use aya_ebpf::macros::btf_map;
    use lb_common::hook::Hook;
    use lb_common::outcome::Outcome;
    use lb_common::trace::{Begun, Decision, HOW_AFFINITY, HOW_DRAWN, HOW_FIRST, HOW_LOOKED_UP, HOW_SOCKET};
    use lb_common::translation::End;

    use crate::call::Call;

    /// The agent sets the size, in bytes.
    #[btf_map]
    static DECISIONS: RingBuf<Decision, 4096> = RingBuf::new();

    /// Records that found no room, on each CPU.
    #[btf_map]
    static LOST_DECISIONS: PerCpuArray<u64, 1> = PerCpuArray::new();

    /// What is known of a call until it ends, by thread: each is in one call at a time, and moves to no other CPU's memory.
    #[btf_map]
    static BEGUN: HashMap<u64, Begun, 1024, { lb_common::layout::NO_PREALLOC as usize }> = HashMap::new();

    /// A Service may have been dialled.
    #[inline(always)]
    pub(crate) fn begins(dialled: &End) {
        let End { address: [first, second], port } = *dialled;
        trace_begin(first, second, port.into());
    }

    #[inline(never)]
    #[unsafe(no_mangle)]
    extern "C" fn trace_begin(first: u64, second: u64, port: u64) -> u32 {
        let begun = Begun {
            dialled: [first, second],
            id: 0,
            revision: 0,
            dialled_port: port as u16,
            place: 0,
            how: HOW_LOOKED_UP.into(),
        };
        // Without room for it the record says less.
        u32::from(BEGUN.insert(bpf_get_current_pid_tgid(), begun, 0).is_ok())
    }

    /// `owner` is id and revision.
    #[inline(always)]
    pub(crate) fn found(owner: u64) {
        trace_found(owner);
    }

    #[inline(never)]
    #[unsafe(no_mangle)]
    extern "C" fn trace_found(owner: u64) -> u32 {
        let Some(begun) = BEGUN.get_ptr_mut(bpf_get_current_pid_tgid()) else { return 0 };
        // SAFETY: the value has four words, of which this is the third; no other thread has this element.
        unsafe { begun.cast::<u64>().add(2).write(owner) };
        1
    }

    /// At which place the backend counts, and how it was chosen.
    #[inline(always)]
    pub(crate) fn chosen(place: u16, of_socket: bool, affinity: u32, is_new: bool) {
        let how = match (of_socket, affinity, is_new) {
            (true, ..) => HOW_SOCKET,
            (false, 0, _) => HOW_DRAWN,
            (false, _, true) => HOW_FIRST,
            (false, _, false) => HOW_AFFINITY,
        };
        trace_choice(place.into(), how.into());
    }

    #[inline(never)]
    #[unsafe(no_mangle)]
    extern "C" fn trace_choice(place: u64, how: u64) -> u32 {
        let Some(begun) = BEGUN.get_ptr_mut(bpf_get_current_pid_tgid()) else { return 0 };
        // SAFETY: as above.
        let place_of = unsafe { &raw mut (*begun).place };
        // SAFETY: as above.
        unsafe { place_of.write(place as u16) };
        // SAFETY: as above.
        let how_of = unsafe { &raw mut (*begun).how };
        // SAFETY: as above.
        unsafe { how_of.write(how as u32) };
        1
    }

    /// The program has done with the call, and not refused it yet: what it dials is a backend, or what was dialled.
    #[inline(always)]
    pub(crate) fn ended(call: &Call<'_>, hook: Hook, outcome: Outcome) {
        let end = match hook {
            Hook::Connect4 | Hook::Sendmsg4 => call.end4(),
            Hook::Connect6 | Hook::Sendmsg6 => call.end6(),
            Hook::Recvmsg6 | Hook::Recvmsg4 | Hook::Getpeername6 | Hook::Getpeername4 => return,
        };
        if !crate::settings::traces_all() && matches!(outcome, Outcome::NotOurProtocol) {
            return;
        }
        let End { address: [first, second], port } = end;
        let rest = u64::from(port) | u64::from(call.protocol()) << 16 | (hook as u64) << 24;
        trace_end(first, second, rest, outcome as u64);
    }

    #[inline(never)]
    #[unsafe(no_mangle)]
    extern "C" fn trace_end(first: u64, second: u64, rest: u64, outcome: u64) -> u32 {
        let thread = bpf_get_current_pid_tgid();
        let begun = BEGUN.get_ptr(thread);
        if outcome != Outcome::NotAService as u64 || crate::settings::traces_all() {
            let words = match begun {
                // SAFETY: the value has four words; no other thread has this element.
                Some(begun) => unsafe { begun.cast::<[u64; 4]>().read() },
                None => [0; 4],
            };
            record([thread, first, second], rest, outcome, words);
        }
        if begun.is_some() {
            // It is there, and no other thread removes it.
            _ = BEGUN.remove(thread);
        }
        0
    }

    #[inline(always)]
    fn record([thread, first, second]: [u64; 3], rest: u64, outcome: u64, begun: [u64; 4]) {
        let Some(mut entry) = DECISIONS.reserve(0) else {
            if let Some(lost) = LOST_DECISIONS.get_ptr_mut(0) {
                // SAFETY: the element is this CPU's own. A count that is lost under preemption is one loss less that is said.
                unsafe { *lost += 1 };
            }
            return;
        };
        let words = entry.as_mut_ptr().cast::<u64>();
        let (dialled_port, place, how) = (begun[3] & 0xffff, begun[3] >> 16 & 0xffff, begun[3] >> 32);
        // The fields of `Decision`, in order.
        let ports = rest & 0xffff | dialled_port << 16 | place << 32 | (rest >> 16 & 0xffff) << 48;
        // SAFETY: the helper takes no arguments and cannot fail.
        let at = unsafe { bpf_ktime_get_boot_ns() };
        // SAFETY: as above.
        let cgroup = unsafe { bpf_get_current_cgroup_id() };
        let all =
            [at, cgroup, thread, first, second, begun[0], begun[1], begun[2], ports, outcome | how << 8];
        let mut word = 0;
        while word < all.len() {
            // SAFETY: the record has ten words.
            let place = unsafe { words.add(word) };
            // SAFETY: as above; it is aligned to 8, and this program's until it is submitted.
            unsafe { place.write(all[word]) };
            word += 1;
        }
        entry.submit(0);
    }
}
