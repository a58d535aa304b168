//! What is asked for, and at which port.

use std::net::{Ipv4Addr, SocketAddrV4};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Asked {
    /// A TCP connection for one answer.
    Connection,
    /// A request on a TCP connection that is kept.
    Request,
    /// A datagram and its reply, on a UDP socket that is kept.
    Datagram,
    /// A DNS query, on a UDP socket of its own.
    Query,
}

impl Asked {
    pub(crate) const ALL: [Self; 4] = [Self::Connection, Self::Request, Self::Datagram, Self::Query];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Request => "request",
            Self::Datagram => "datagram",
            Self::Query => "query",
        }
    }

    const fn protocol(self) -> &'static str {
        match self {
            Self::Connection | Self::Request => "TCP",
            Self::Datagram | Self::Query => "UDP",
        }
    }

    const fn service_port(self) -> u16 {
        match self {
            Self::Connection => 80,
            Self::Request => 81,
            Self::Datagram => 82,
            Self::Query => 53,
        }
    }

    const fn target_port(self) -> u16 {
        match self {
            Self::Connection => 8080,
            Self::Request => 8081,
            Self::Datagram => 8082,
            Self::Query => 5353,
        }
    }

    /// Where it is asked for on this side.
    pub(crate) const fn at(self, side: Side, address: Ipv4Addr) -> SocketAddrV4 {
        let port = match side {
            Side::Service => self.service_port(),
            Side::Backend => self.target_port(),
        };
        SocketAddrV4::new(address, port)
    }

    /// As a port of a Service.
    pub(crate) fn in_service(self) -> Value {
        json!({
            "name": self.name(), "protocol": self.protocol(),
            "port": self.service_port(), "targetPort": self.target_port(),
        })
    }

    /// As a port of a slice.
    pub(crate) fn in_slice(self) -> Value {
        json!({"name": self.name(), "protocol": self.protocol(), "port": self.target_port()})
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Side {
    Service,
    Backend,
}

impl Side {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Backend => "backend",
        }
    }
}
