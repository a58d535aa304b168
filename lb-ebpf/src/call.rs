//! The call in hand: the only file that touches `bpf_sock_addr`.

use aya_ebpf::bindings::bpf_sock_addr;
use aya_ebpf::helpers::generated::bpf_get_netns_cookie;
use aya_ebpf::programs::SockAddrContext;
use lb_common::layout::{Backend4, Backend6, Frontend4, Frontend6};
use lb_common::translation::End;

/// `SOCK_STREAM`: TCP and MPTCP sockets; a ping or UDP socket is another type.
const SOCK_STREAM: u32 = 1;
/// `SOCK_DGRAM`: UDP and ping sockets.
const SOCK_DGRAM: u32 = 2;
const AF_INET6: u32 = 10;
/// `0000:ffff` in network order, the third word of an IPv4-mapped address.
const MAPPED: u32 = 0xffff_u32.to_be();
const LOOPBACK4: u32 = 0x7f00_0001_u32.to_be();
/// `::1`, in network order.
const LOOPBACK6: [u32; 4] = [0, 0, 0, 1_u32.to_be()];

/// The protocols of service ports, as in IP headers.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Protocol {
    Tcp = 6,
    Udp = 17,
}

/// A call of a socket that the kernel asks a program about.
pub(crate) struct Call<'c> {
    ctx: &'c SockAddrContext,
}

impl<'c> Call<'c> {
    #[inline(always)]
    pub(crate) fn new(ctx: &'c SockAddrContext) -> Self {
        Self { ctx }
    }

    #[inline(always)]
    pub(crate) fn context(&self) -> &SockAddrContext {
        self.ctx
    }

    /// TCP, and what falls back to it: MPTCP and Fast Open come by the same way.
    #[inline(always)]
    pub(crate) fn is_tcp(&self) -> bool {
        let call = self.call();
        call.protocol == Protocol::Tcp as u32 && call.type_ == SOCK_STREAM
    }

    /// UDP. The fields are read one by one: the kernel takes no read of both at once, which the compiler would make of it.
    #[inline(always)]
    pub(crate) fn is_udp(&self) -> bool {
        let call = self.call();
        let (protocol, kind) = (&raw const call.protocol, &raw const call.type_);
        // SAFETY: both are fields of the context, which outlives the call.
        let protocol = unsafe { protocol.read_volatile() };
        // SAFETY: as above.
        let kind = unsafe { kind.read_volatile() };
        protocol == Protocol::Udp as u32 && kind == SOCK_DGRAM
    }

    /// Whether a datagram goes to the socket's own peer. Of an AF_INET6 socket that is connected to an IPv4-mapped address the
    /// kernel asks about `send(2)` as well: nothing is dialled then.
    #[inline(always)]
    pub(crate) fn is_to_the_peer4(&self) -> bool {
        let call = self.call();
        if call.family != AF_INET6 {
            return false;
        }
        // SAFETY: `sk` is the variant that every sock_addr program is given.
        let socket = unsafe { call.__bindgen_anon_1.sk };
        // SAFETY: the verifier turns the load into one of the socket's own field.
        let address = unsafe { (*socket).dst_ip4 };
        // SAFETY: as above.
        let port = unsafe { &raw const (*socket).dst_port };
        // SAFETY: as above. Kernels before 5.18 take no load but one of 32 bits, of which the port is the lower half.
        let port = unsafe { port.cast::<u32>().read_volatile() };
        address == call.user_ip4 && port as u16 == call.user_port as u16
    }

    /// As in IP headers, but for those of more than a byte (MPTCP), of which it is the last one.
    #[cfg(feature = "program-log")]
    #[inline(always)]
    pub(crate) fn protocol(&self) -> u8 {
        self.call().protocol as u8
    }

    /// The service port at the IPv4 address of the call.
    #[inline(always)]
    pub(crate) fn frontend4(&self, protocol: Protocol) -> Frontend4 {
        frontend4(self.call().user_ip4, self.call().user_port, protocol)
    }

    /// The service port that an AF_INET6 socket dials by an IPv4-mapped address,
    /// `::ffff:a.b.c.d`; `None` for all other addresses.
    #[inline(always)]
    pub(crate) fn mapped_frontend4(&self, protocol: Protocol) -> Option<Frontend4> {
        let address = &self.call().user_ip6;
        let is_mapped = if cfg!(feature = "plant-mapped-by-third-word") {
            address[2] == MAPPED
        } else {
            self.is_mapped()
        };
        is_mapped.then(|| frontend4(address[3], self.call().user_port, protocol))
    }

    /// The service port at the IPv6 address of the call.
    #[inline(always)]
    pub(crate) fn frontend6(&self, protocol: Protocol) -> Frontend6 {
        let End { address: [first, second], port } = self.end6();
        bytemuck::cast([first, second, u64::from(port) | (protocol as u64) << 16])
    }

    /// Whether the IPv6 address of the call is `::ffff:a.b.c.d`.
    #[inline(always)]
    pub(crate) fn is_mapped(&self) -> bool {
        let address = &self.call().user_ip6;
        address[0] == 0 && address[1] == 0 && address[2] == MAPPED
    }

    /// The other end of the call, which is an IPv4 address.
    #[inline(always)]
    pub(crate) fn end4(&self) -> End {
        End::mapped(self.call().user_ip4, self.call().user_port as u16)
    }

    /// The other end of the call, which is an IPv6 address.
    #[inline(always)]
    pub(crate) fn end6(&self) -> End {
        let call = self.call();
        let [first, second, third, fourth] = [0, 1, 2, 3].map(|word: usize| u64::from(call.user_ip6[word]));
        End { address: [first | second << 32, third | fourth << 32], port: call.user_port as u16 }
    }

    /// Shows an IPv4 address as the other end.
    #[inline(always)]
    pub(crate) fn show4(&self, end: &End) {
        let call = self.call();
        call.user_ip4 = end.address4();
        call.user_port = u32::from(end.port);
    }

    /// Shows an IPv6 address as the other end.
    #[inline(always)]
    pub(crate) fn show6(&self, end: &End) {
        self.set6(end);
    }

    /// Lets an AF_INET socket dial `backend` instead.
    #[inline(always)]
    pub(crate) fn rewrite4(&self, backend: &Backend4) {
        let call = self.call();
        call.user_ip4 = u32::from_ne_bytes(backend.address);
        call.user_port = port(backend);
    }

    /// Lets an AF_INET6 socket that dials an IPv4-mapped address dial `backend` instead.
    #[inline(always)]
    pub(crate) fn rewrite_mapped4(&self, backend: &Backend4) {
        let call = self.call();
        call.user_ip6[3] = u32::from_ne_bytes(backend.address);
        call.user_port = port(backend);
    }

    /// Lets an AF_INET6 socket dial `backend` instead.
    #[inline(always)]
    pub(crate) fn rewrite6(&self, backend: &Backend6) {
        self.set6(&End::of_words(&bytemuck::cast(*backend)));
    }

    #[inline(always)]
    fn set6(&self, end: &End) {
        let call = self.call();
        let [first, second] = end.address;
        call.user_ip6[0] = first as u32;
        call.user_ip6[1] = (first >> 32) as u32;
        call.user_ip6[2] = second as u32;
        call.user_ip6[3] = (second >> 32) as u32;
        call.user_port = u32::from(end.port);
    }

    /// Lets an AF_INET socket dial loopback port 0, where nothing can listen.
    #[inline(always)]
    pub(crate) fn rewrite_to_nowhere4(&self) {
        let call = self.call();
        call.user_ip4 = LOOPBACK4;
        call.user_port = 0;
    }

    /// The same for an AF_INET6 socket, in the family of what it dials.
    #[inline(always)]
    pub(crate) fn rewrite_to_nowhere6(&self) {
        let mapped = self.is_mapped();
        let call = self.call();
        if mapped {
            call.user_ip6[3] = LOOPBACK4;
        } else {
            [call.user_ip6[0], call.user_ip6[1], call.user_ip6[2], call.user_ip6[3]] = LOOPBACK6;
        }
        call.user_port = 0;
    }

    /// The cookie of the socket's network namespace.
    #[inline(always)]
    pub(crate) fn netns(&self) -> u64 {
        // SAFETY: the helper reads the context's socket, which outlives the call, and cannot fail.
        unsafe { bpf_get_netns_cookie(self.ctx.sock_addr.cast()) }
    }

    /// The socket's `SO_MARK`.
    #[inline(always)]
    pub(crate) fn mark(&self) -> u32 {
        // SAFETY: the field is a pointer whichever way the union is read.
        let socket = unsafe { self.call().__bindgen_anon_1.sk };
        // SAFETY: the kernel gives every program here the socket of the call, which
        // outlives it; the verifier turns the load into one of the socket's own field.
        unsafe { (*socket).mark }
    }

    #[inline(always)]
    pub(crate) fn is_bound_to_a_device(&self) -> bool {
        // SAFETY: `sk` is the variant that every sock_addr program is given.
        let socket = unsafe { self.call().__bindgen_anon_1.sk };
        // SAFETY: the verifier lets only a checked pointer to a live socket be read.
        !socket.is_null() && unsafe { (*socket).bound_dev_if } != 0
    }

    #[expect(
        clippy::mut_from_ref,
        reason = "the kernel's own memory, behind a pointer that the context holds"
    )]
    #[inline(always)]
    fn call(&self) -> &mut bpf_sock_addr {
        // SAFETY: the kernel passes every program here a valid `bpf_sock_addr` that
        // outlives the call; each use reads or writes single fields and is over before the next.
        unsafe { &mut *self.ctx.sock_addr }
    }
}

/// The key as one word: written to memory in parts it would be waited for when it is read as one.
/// `user_port` is in network order in its lower half.
#[inline(always)]
fn frontend4(address: u32, user_port: u32, protocol: Protocol) -> Frontend4 {
    let port = user_port as u16;
    bytemuck::cast(u64::from(address) | u64::from(port) << 32 | (protocol as u64) << 48)
}

/// The backend's port as the kernel wants it: network order in the lower half.
#[inline(always)]
fn port(backend: &Backend4) -> u32 {
    u32::from(u16::from_ne_bytes(backend.port))
}
