//! The contract's table of UDP calls, row by row.

use std::net::SocketAddrV4;

/// Of IPv6 the kernel (6.18) goes on taking datagrams of the old peer alone, with or without our programs: it has no
/// such row.
pub(super) const NO_LONGER_CONNECTED: &str = "no longer connected";

/// What each row shows, the family of its socket, and its calls with what they return.
pub(super) const CALLS: &[(&str, u8, &[&str])] = &[
    ("sendto", 4, &["sendto 10.96.0.10:53 q -> ok", "recvfrom -> a q from 10.96.0.10:53"]),
    ("sendmsg and recvmsg", 4, &["sendmsg 10.96.0.10:53 q -> ok", "recvmsg -> a q from 10.96.0.10:53"]),
    (
        "connected, with send and without an address",
        4,
        &[
            "connect 10.96.0.10:53 -> ok",
            "peer -> 10.96.0.10:53",
            "send q -> ok",
            "recvfrom -> a q from 10.96.0.10:53",
            "peer -> 10.96.0.10:53",
        ],
    ),
    (
        "sendto on a connected socket, to the same Service",
        4,
        &[
            "connect 10.96.0.10:53 -> ok",
            "sendto 10.96.0.10:53 q -> ok",
            "recvfrom -> a q from 10.96.0.10:53",
            "peer -> 10.96.0.10:53",
        ],
    ),
    (
        "sendto on a connected socket, to another Service, does not lose the connection",
        4,
        &[
            "connect 10.96.0.10:53 -> ok",
            "sendto 10.96.0.11:514 q -> ok",
            "peer -> 10.96.0.10:53",
            "send q -> ok",
            "recvfrom -> a q from 10.96.0.10:53",
        ],
    ),
    (
        "several Services on one socket",
        4,
        &[
            "sendto 10.96.0.10:53 one -> ok",
            "recvfrom -> a one from 10.96.0.10:53",
            "sendto 10.96.0.11:514 two -> ok",
            "recvfrom -> b two from 10.96.0.11:514",
            "sendto 10.96.0.10:53 three -> ok",
            "recvfrom -> a three from 10.96.0.10:53",
        ],
    ),
    (
        "many datagrams in flight",
        4,
        &[
            "sendto 10.96.0.10:53 later 600 -> ok",
            "sendto 10.96.0.11:514 later 400 -> ok",
            "sendto 10.96.0.10:53 later 200 -> ok",
            "recvfrom -> a later 200 from 10.96.0.10:53",
            "recvfrom -> b later 400 from 10.96.0.11:514",
            "recvfrom -> a later 600 from 10.96.0.10:53",
        ],
    ),
    (
        "several Services and a pod by one sendmmsg and one recvmmsg",
        4,
        &[
            "sendmmsg 10.96.0.10:53 later 400, 10.96.0.11:514 later 200, 10.244.1.3:5354 q, 10.96.0.10:53 later 100 -> 4 sent",
            "recvmmsg 4 -> c q from 10.244.1.3:5354, a later 100 from 10.96.0.10:53, b later 200 from 10.96.0.11:514, \
             a later 400 from 10.96.0.10:53",
        ],
    ),
    (
        "sendmmsg ends at the Service without backends, and says so when it is the first",
        4,
        &[
            "sendmmsg 10.96.0.10:53 one, 10.96.0.12:53 two, 10.96.0.11:514 three -> 1 sent",
            "sendmmsg 10.96.0.12:53 two, 10.96.0.11:514 three -> ECONNREFUSED",
            "recvfrom -> a one from 10.96.0.10:53",
        ],
    ),
    (
        "a pod that is dialled itself keeps its address",
        4,
        &["sendto 10.244.1.3:5353 q -> ok", "recvfrom -> a q from 10.244.1.3:5353"],
    ),
    (
        "also after its Service was",
        4,
        &[
            "sendto 10.96.0.10:53 q -> ok",
            "recvfrom -> a q from 10.96.0.10:53",
            "sendto 10.244.1.3:5353 q -> ok",
            "recvfrom -> a q from 10.244.1.3:5353",
            "sendto 10.96.0.10:53 q -> ok",
            "recvfrom -> a q from 10.96.0.10:53",
        ],
    ),
    (
        "also connected",
        4,
        &[
            "connect 10.96.0.10:53 -> ok",
            "connect 10.244.1.3:5353 -> ok",
            "peer -> 10.244.1.3:5353",
            "send q -> ok",
            "recvfrom -> a q from 10.244.1.3:5353",
        ],
    ),
    (
        "connected again, to another Service",
        4,
        &[
            "connect 10.96.0.10:53 -> ok",
            "connect 10.96.0.11:514 -> ok",
            "peer -> 10.96.0.11:514",
            "send q -> ok",
            "recvfrom -> b q from 10.96.0.11:514",
        ],
    ),
    (
        "a reply that waits while the socket is connected elsewhere",
        4,
        &[
            "connect 10.96.0.10:53 -> ok",
            "send q -> ok",
            "send later 100 -> ok",
            "recvfrom -> a q from 10.96.0.10:53",
            "pause 300 -> ok",
            "connect 10.96.0.11:514 -> ok",
            "recvfrom -> a later 100 from 10.96.0.10:53",
        ],
    ),
    (
        NO_LONGER_CONNECTED,
        4,
        &[
            "connect 10.96.0.10:53 -> ok",
            "disconnect -> ok",
            "peer -> ENOTCONN",
            "sendto 10.96.0.11:514 q -> ok",
            "recvfrom -> b q from 10.96.0.11:514",
            "sendto 10.96.0.10:53 q -> ok",
            "recvfrom -> a q from 10.96.0.10:53",
        ],
    ),
    (
        "no longer connected, an AF_INET6 socket",
        6,
        &[
            "connect [fd00:96::10]:53 -> ok",
            "disconnect -> ok",
            "peer -> ENOTCONN",
            "sendto [fd00:96::10]:53 q -> ok",
            "recvfrom -> a q from [fd00:96::10]:53",
        ],
    ),
    (
        "an AF_INET6 socket, to an IPv4-mapped address",
        6,
        &[
            "sendto [::ffff:10.96.0.10]:53 q -> ok",
            "recvfrom -> a q from [::ffff:10.96.0.10]:53",
            "sendmsg [::ffff:10.96.0.11]:514 q -> ok",
            "recvmsg -> b q from [::ffff:10.96.0.11]:514",
        ],
    ),
    (
        "an AF_INET6 socket, to a sockaddr_in",
        6,
        &["sendto 10.96.0.10:53 q -> ok", "recvfrom -> a q from [::ffff:10.96.0.10]:53"],
    ),
    (
        "an AF_INET6 socket, connected to an IPv4-mapped address",
        6,
        &[
            "connect [::ffff:10.96.0.10]:53 -> ok",
            "peer -> [::ffff:10.96.0.10]:53",
            "send q -> ok",
            "recvfrom -> a q from [::ffff:10.96.0.10]:53",
            "sendto [::ffff:10.96.0.11]:514 q -> ok",
            "peer -> [::ffff:10.96.0.10]:53",
        ],
    ),
    (
        "an AF_INET6 socket, connected to a sockaddr_in",
        6,
        &[
            "connect 10.96.0.10:53 -> ok",
            "peer -> [::ffff:10.96.0.10]:53",
            "send q -> ok",
            "recvmsg -> a q from [::ffff:10.96.0.10]:53",
        ],
    ),
    (
        "an AF_INET6 socket, connected to one Service after another while a reply waits",
        6,
        &[
            "connect [::ffff:10.96.0.11]:514 -> ok",
            "connect [::ffff:10.96.0.10]:53 -> ok",
            "send later 100 -> ok",
            "pause 300 -> ok",
            "connect [::ffff:10.96.0.11]:514 -> ok",
            "recvfrom -> a later 100 from [::ffff:10.96.0.10]:53",
        ],
    ),
    (
        "an empty set refuses every call at once, and leaves a connection as it was",
        4,
        &[
            "sendto 10.96.0.12:53 q -> ECONNREFUSED",
            "connect 10.96.0.12:53 -> ECONNREFUSED",
            "connect 10.96.0.10:53 -> ok",
            "connect 10.96.0.12:53 -> ECONNREFUSED",
            "peer -> 10.96.0.10:53",
            "sendto 10.96.0.12:53 q -> ECONNREFUSED",
            "send q -> ok",
            "recvfrom -> a q from 10.96.0.10:53",
        ],
    ),
    (
        "the same by an IPv4-mapped address",
        6,
        &[
            "sendto [::ffff:10.96.0.12]:53 q -> ECONNREFUSED",
            "connect [::ffff:10.96.0.12]:53 -> ECONNREFUSED",
        ],
    ),
    (
        "what is not served is untouched",
        4,
        &[
            "sendto 10.96.0.99:53 q -> ENETUNREACH",
            "sendto 10.96.0.10:54 q -> ENETUNREACH",
            "connect 10.96.0.10:54 -> ENETUNREACH",
        ],
    ),
    (
        "Services of both families on one socket",
        6,
        &[
            "sendto [fd00:96::10]:53 q -> ok",
            "sendto [::ffff:10.96.0.11]:514 later 100 -> ok",
            "recvfrom -> a q from [fd00:96::10]:53",
            "recvfrom -> b later 100 from [::ffff:10.96.0.11]:514",
            "connect [fd00:96::11]:514 -> ok",
            "peer -> [fd00:96::11]:514",
            "send q -> ok",
            "recvfrom -> b q from [fd00:96::11]:514",
        ],
    ),
];

/// The row of an AF_INET socket as one of an AF_INET6 socket that dials IPv6.
pub(super) fn in_ipv6(calls: &[&str]) -> Vec<String> {
    let word = |word: &str| match word.trim_end_matches(',').parse::<SocketAddrV4>() {
        Ok(at) => {
            let ([_, network, _, host], comma) =
                (at.ip().octets(), if word.ends_with(',') { "," } else { "" });
            format!("[fd00:{network}::{host}]:{}{comma}", at.port())
        }
        Err(_) => word.to_owned(),
    };
    calls.iter().map(|call| call.split(' ').map(word).collect::<Vec<_>>().join(" ")).collect()
}
