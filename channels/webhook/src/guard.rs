//! The guard: which addresses webhooks can reach.
//!
//! Tenants choose their URLs. Without a guard, a tenant could make Fanfare send requests to systems
//! that only Fanfare can reach: its host, its network, the cloud's metadata service. The guard
//! refuses everything in the IANA special-purpose registries
//! (<https://www.iana.org/assignments/iana-ipv4-special-registry>,
//! <https://www.iana.org/assignments/iana-ipv6-special-registry>) and every IPv6 address outside
//! the global unicast space. It judges an address that embeds an IPv4 address by that address.
//!
//! A host that is an address is checked when the settings are prepared. The addresses that a name
//! resolves to are checked on every connection (in `resolver`). Fanfare connects to the very
//! address that was checked, so DNS rebinding gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Checks addresses.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Allows loopback and private addresses, for development and demonstrations.
    pub development: bool,
    /// Networks that are allowed even if they are special. Never opens a metadata service.
    pub allowed: Vec<IpNet>,
}

/// An address that webhooks must not reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{ip} is {kind}")]
pub struct Blocked {
    /// The address.
    pub ip: IpAddr,
    /// Why it is refused.
    pub kind: Kind,
}

/// Why an address is special.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The metadata or credentials service of a cloud.
    Metadata,
    /// The local host.
    Loopback,
    /// A private network: RFC 1918 or unique local IPv6.
    Private,
    /// `0.0.0.0/8` and `::`.
    Unspecified,
    /// Valid on one network link only.
    LinkLocal,
    /// A carrier's shared address space (RFC 6598).
    CarrierNat,
    /// Multicast or broadcast.
    Multicast,
    /// Reserved for documentation.
    Documentation,
    /// Reserved for benchmarks.
    Benchmark,
    /// A tunnel or translation with an unknown target.
    Tunnel,
    /// Reserved otherwise, or not global unicast.
    Reserved,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Metadata => "a cloud metadata address",
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::Unspecified => "an unspecified address",
            Self::LinkLocal => "a link-local address",
            Self::CarrierNat => "a shared (carrier NAT) address",
            Self::Multicast => "a multicast or broadcast address",
            Self::Documentation => "a documentation address",
            Self::Benchmark => "a benchmarking address",
            Self::Tunnel => "a tunnel address",
            Self::Reserved => "a reserved address",
        })
    }
}

impl Guard {
    /// Checks whether webhooks can reach `ip`.
    pub fn check(&self, ip: IpAddr) -> Result<(), Blocked> {
        let ip = ip.to_canonical();
        // An embedded IPv4 address decides. An allowed network can be written in either form.
        let (inner, kind) = match ip {
            IpAddr::V4(v4) => (v4.into(), kind_v4(v4)),
            IpAddr::V6(v6) => match embedded(v6) {
                Some(v4) => (v4.into(), kind_v4(v4)),
                None => (ip, kind_v6(v6)),
            },
        };
        let passes = match kind {
            None => true,
            Some(Kind::Metadata) => false,
            Some(Kind::Loopback | Kind::Private) if self.development => true,
            Some(_) => self.allowed.iter().any(|net| net.contains(&ip) || net.contains(&inner)),
        };
        match kind {
            Some(kind) if !passes => Err(Blocked { ip, kind }),
            _ => Ok(()),
        }
    }
}

/// The IPv4 address that a NAT64 (RFC 6052) or 6to4 (RFC 3056) address really reaches.
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let ([0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..]) = ip.segments() else {
        return None;
    };
    Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
}

/// The kind of a special IPv4 address. `None` for an ordinary one.
fn kind_v4(ip: Ipv4Addr) -> Option<Kind> {
    let kind = match ip.octets() {
        // AWS, GCP, Azure and most others. ECS and EKS credentials. Azure's wire server. Alibaba.
        [169, 254, 169, 254]
        | [169, 254, 170, 2 | 23]
        | [168, 63, 129, 16]
        | [100, 100, 100, 200] => Kind::Metadata,
        [0, ..] => Kind::Unspecified,
        [127, ..] => Kind::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Kind::Private,
        [169, 254, ..] => Kind::LinkLocal,
        [100, 64..=127, ..] => Kind::CarrierNat,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Kind::Documentation,
        [198, 18 | 19, ..] => Kind::Benchmark,
        [192, 88, 99, _] => Kind::Tunnel,
        [224..=239, ..] | [255, 255, 255, 255] => Kind::Multicast,
        [192, 0, 0, _] | [240..=255, ..] => Kind::Reserved,
        _ => return None,
    };
    Some(kind)
}

/// The kind of a special IPv6 address. `None` for an ordinary one.
fn kind_v6(ip: Ipv6Addr) -> Option<Kind> {
    let kind = match ip.segments() {
        // AWS instance metadata, EKS credentials, and GCP.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254 | 0x23] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => {
            Kind::Metadata
        }
        [0, 0, 0, 0, 0, 0, 0, 0] => Kind::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => Kind::Loopback,
        [0xfc00..=0xfdff, ..] => Kind::Private,
        [0xfe80..=0xfebf, ..] => Kind::LinkLocal,
        [0xff00..=0xffff, ..] => Kind::Multicast,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Kind::Documentation,
        [0x2001, 2, 0, ..] => Kind::Benchmark,
        [0x2001, 0, ..] | [0x64, 0xff9b, 1, ..] => Kind::Tunnel,
        [0x2001, 0..=0x1ff, ..] => Kind::Reserved,
        [0x2000..=0x3fff, ..] => return None,
        _ => Kind::Reserved,
    };
    Some(kind)
}

#[cfg(test)]
mod tests;
