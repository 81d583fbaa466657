//! Whether the helper's unit lets it dial an address: what `IPAddressAllow=` and `IPAddressDeny=` say
//! (systemd.resource-control(5)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Finding, Severity};
use crate::name::Name;
use crate::places;
use crate::units::{Setting, Unit};

/// That the helper of `name`, whose unit is `service`, may not dial `target`, if it is so.
pub fn check(name: &Name, service: &Unit, target: IpAddr) -> Option<Finding> {
    let setting = |key| service.all("Service", key).into_iter().find(|setting| covers(setting, target));
    // What is allowed is allowed, whatever is denied.
    if setting("IPAddressAllow").is_some() {
        return None;
    }
    let denied = setting("IPAddressDeny")?;
    let message = format!("the helper of {name} may not connect to {target}");
    let hint = format!(
        "put [Service] and IPAddressAllow={target} into {}",
        places::units().join(format!("rouse@{name}.service.d/address.conf")).display()
    );
    let finding = Finding::new(Severity::Error, message, hint).about("IPAddressDeny");
    Some(finding.in_file(&denied.file, Some(denied.line)))
}

/// Whether one of the setting's networks has this address.
fn covers(setting: &Setting, target: IpAddr) -> bool {
    setting.value.split_whitespace().any(|network| match network {
        "any" => true,
        "localhost" => target.is_loopback(),
        "link-local" => is_in(target, "169.254.0.0", 16) || is_in(target, "fe80::", 64),
        "multicast" => target.is_multicast(),
        _ => {
            let (address, bits) = network.split_once('/').unwrap_or((network, "128"));
            is_in(target, address, bits.parse().unwrap_or(128))
        }
    })
}

/// Whether the first `bits` of both are the same; never for those of different families.
fn is_in(target: IpAddr, network: &str, bits: u32) -> bool {
    let rest = |of: u32| of.saturating_sub(bits);
    match (target, network.parse()) {
        (IpAddr::V4(target), Ok(IpAddr::V4(network))) => {
            let of = |address: Ipv4Addr| address.to_bits().checked_shr(rest(32)).unwrap_or(0);
            of(target) == of(network)
        }
        (IpAddr::V6(target), Ok(IpAddr::V6(network))) => {
            let of = |address: Ipv6Addr| address.to_bits().checked_shr(rest(128)).unwrap_or(0);
            of(target) == of(network)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::PathBuf;

    use super::{Setting, covers};

    fn has(networks: &str, target: &str) -> bool {
        let (section, key) = ("Service".to_owned(), "IPAddressAllow".to_owned());
        let setting = Setting { section, key, value: networks.to_owned(), file: PathBuf::new(), line: 1 };
        covers(&setting, target.parse().unwrap())
    }

    /// What the shipped unit allows.
    fn shipped(target: &str) -> bool {
        let unit = include_str!("../../units/rouse@.service");
        has(unit.lines().find_map(|line| line.strip_prefix("IPAddressAllow=")).unwrap(), target)
    }

    #[test]
    fn the_shipped_list_has_the_private_networks_and_no_others() {
        for private in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.99.1",
            "169.254.1.1",
            "fe80::1",
            "fc00::1",
            "fdff::1",
        ] {
            assert!(shipped(private), "{private}");
        }
        for public in [
            "172.15.255.255",
            "172.32.0.1",
            "192.169.0.1",
            "11.0.0.1",
            "198.51.100.1",
            "2001:db8::1",
            "fe00::1",
        ] {
            assert!(!shipped(public), "{public}");
        }
    }

    #[test]
    fn words_addresses_and_prefixes_are_known() {
        assert!(has("any", "198.51.100.1") && has("any", "2001:db8::1"));
        assert!(has("0.0.0.0/0", "198.51.100.1") && !has("0.0.0.0/0", "::1") && has("::/0", "::1"));
        assert!(has("198.51.100.1", "198.51.100.1") && !has("198.51.100.1", "198.51.100.2"));
        assert!(has("localhost 2001:db8::/32", "2001:db8:ffff::1") && !has("2001:db8::/32", "2001:db9::1"));
        assert!(has("multicast", "224.0.0.1") && !has("multicast", "10.0.0.1"));
        assert!(!has("nonsense nonsense/8", "10.0.0.1"));
    }
}
