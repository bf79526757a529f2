//! The guard against the IANA registries, and against disguised addresses.

use proptest::prelude::*;

use super::*;

fn kind(ip: &str) -> Option<Kind> {
    kind_with(&Guard::default(), ip)
}

fn kind_with(guard: &Guard, ip: &str) -> Option<Kind> {
    guard.check(ip.parse().unwrap()).err().map(|blocked| blocked.kind)
}

fn allowing(nets: &[&str]) -> Guard {
    let allowed = nets.iter().map(|net| net.parse().unwrap()).collect();
    Guard { development: false, allowed }
}

#[test]
fn every_special_network_is_refused_from_its_first_to_its_last_address() {
    for (net, expected) in [
        ("0.0.0.0/8", Kind::Unspecified),
        ("10.0.0.0/8", Kind::Private),
        ("100.64.0.0/10", Kind::CarrierNat),
        ("127.0.0.0/8", Kind::Loopback),
        ("169.254.0.0/16", Kind::LinkLocal),
        ("172.16.0.0/12", Kind::Private),
        ("192.0.0.0/24", Kind::Reserved),
        ("192.0.2.0/24", Kind::Documentation),
        ("192.88.99.0/24", Kind::Tunnel),
        ("192.168.0.0/16", Kind::Private),
        ("198.18.0.0/15", Kind::Benchmark),
        ("198.51.100.0/24", Kind::Documentation),
        ("203.0.113.0/24", Kind::Documentation),
        ("224.0.0.0/4", Kind::Multicast),
        ("240.0.0.0/5", Kind::Reserved),
        ("::/128", Kind::Unspecified),
        ("::1/128", Kind::Loopback),
        ("::2/127", Kind::Reserved),
        ("64:ff9b:1::/48", Kind::Tunnel),
        ("100::/64", Kind::Reserved),
        ("2001::/32", Kind::Tunnel),
        ("2001:2::/48", Kind::Benchmark),
        ("2001:10::/28", Kind::Reserved),
        ("2001:1ff::/32", Kind::Reserved),
        ("2001:db8::/32", Kind::Documentation),
        ("3fff::/20", Kind::Documentation),
        ("4000::/3", Kind::Reserved),
        ("5f00::/16", Kind::Reserved),
        ("fc00::/7", Kind::Private),
        ("fe80::/10", Kind::LinkLocal),
        ("fec0::/10", Kind::Reserved),
        ("ff00::/8", Kind::Multicast),
    ] {
        let net: IpNet = net.parse().unwrap();
        // `broadcast` is the last address of the network.
        for ip in [net.network(), net.broadcast()] {
            let blocked = Guard::default().check(ip).expect_err("special");
            assert_eq!(blocked, Blocked { ip, kind: expected }, "{net}");
        }
    }
    assert_eq!(kind("255.255.255.255"), Some(Kind::Multicast));
}

#[test]
fn ordinary_addresses_next_to_special_networks_pass() {
    for ip in [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:200::1",
        "2606:4700::1111",
        "2a00:1450:4003::1",
        "3ffe::1",
        "64:ff9b::101:101",
        "2002:101:101::1",
        "::ffff:1.1.1.1",
    ] {
        assert_eq!(kind(ip), None, "{ip}");
    }
}

#[test]
fn metadata_services_are_refused_even_where_everything_else_is_allowed() {
    let mut guard = allowing(&["0.0.0.0/0", "::/0"]);
    guard.development = true;
    for ip in [
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "168.63.129.16",
        "100.100.100.200",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
    ] {
        assert_eq!(kind_with(&guard, ip), Some(Kind::Metadata), "{ip}");
    }
}

#[test]
fn development_allows_loopback_and_private_addresses_only() {
    let guard = Guard { development: true, allowed: Vec::new() };
    for ip in ["127.0.0.1", "10.1.2.3", "192.168.1.1", "::1", "fd12::1", "::ffff:127.0.0.1"] {
        assert_eq!(kind_with(&guard, ip), None, "{ip}");
    }
    for ip in ["0.0.0.0", "169.254.1.1", "100.64.0.1", "224.0.0.1", "fe80::1", "::"] {
        assert!(kind_with(&guard, ip).is_some(), "{ip}");
    }
}

#[test]
fn an_allowed_network_passes_in_either_form_and_nothing_else_does() {
    let guard = allowing(&["10.1.0.0/16", "fd12::/16", "64:ff9b::c0a8:0/112"]);
    for ip in ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "fd12::1", "64:ff9b::c0a8:1"] {
        assert_eq!(kind_with(&guard, ip), None, "{ip}");
    }
    for ip in ["10.2.0.0", "fd13::1", "192.168.0.1", "127.0.0.1", "64:ff9b::a02:1"] {
        assert!(kind_with(&guard, ip).is_some(), "{ip}");
    }
}

proptest! {
    #[test]
    fn an_ipv4_address_embedded_in_ipv6_is_judged_as_ipv4(bits: u32, development: bool) {
        let v4 = Ipv4Addr::from_bits(bits);
        let guard = Guard { development, allowed: Vec::new() };
        let plain = guard.check(v4.into()).err().map(|blocked| blocked.kind);
        let [.., high, low] = v4.to_ipv6_mapped().segments();
        for embedding in [
            v4.to_ipv6_mapped(),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
        ] {
            prop_assert_eq!(guard.check(embedding.into()).err().map(|blocked| blocked.kind), plain);
        }
    }

    #[test]
    fn addresses_that_the_standard_library_calls_special_never_pass(bits: u32) {
        let ip = Ipv4Addr::from_bits(bits);
        let special = ip.is_private() || ip.is_loopback() || ip.is_link_local()
            || ip.is_multicast() || ip.is_broadcast() || ip.is_documentation()
            || ip.is_unspecified();
        prop_assert!(!special || Guard::default().check(ip.into()).is_err());
    }

    #[test]
    fn nothing_outside_global_unicast_passes(bits: u128) {
        let ip = Ipv6Addr::from_bits(bits);
        let global = bits >> 125 == 0b001;
        let wraps_v4 = ip.to_ipv4_mapped().is_some() || embedded(ip).is_some();
        prop_assert!(global || wraps_v4 || Guard::default().check(ip.into()).is_err());
    }
}
