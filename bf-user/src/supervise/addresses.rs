//! At which addresses a node can be reached by others.

use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};

use nix::ifaddrs::getifaddrs;

/// The addresses to publish for a listener that is bound to `bound`. One that is bound to all of them is reached at each, the
/// one that the host's own name stands for first.
pub(super) fn of_listener(bound: IpAddr) -> std::io::Result<Vec<IpAddr>> {
    if !bound.is_unspecified() {
        return Ok(vec![bound]);
    }
    let mut addresses: Vec<IpAddr> = getifaddrs()
        .map_err(std::io::Error::from)?
        .filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip()))
        .filter(|address| !address.is_loopback() && !address.is_link_local())
        .map(IpAddr::V4)
        .collect();
    addresses.dedup();
    let named: Vec<IpAddr> = (bf_core::host::name().as_str(), 0)
        .to_socket_addrs()
        .map_or_else(|_| Vec::new(), |found| found.map(|address| address.ip()).collect());
    addresses.sort_by_key(|address| !named.contains(address));
    if addresses.is_empty() {
        // A machine without a network is its own cluster.
        addresses.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_at_one_address_has_that_and_one_at_all_has_some() {
        let one = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(of_listener(one).unwrap(), [one]);
        let all = of_listener(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).unwrap();
        assert!(!all.is_empty() && all.iter().all(|address| !address.is_unspecified()), "{all:?}");
    }
}
