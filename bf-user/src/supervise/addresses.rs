//! At which addresses a node can be reached by others.

use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};

use nix::ifaddrs::getifaddrs;

/// The addresses to publish for a listener that is bound to `bound`. One that is bound to all of them is reached at each, first at
/// that of the network interface which the site names, then at the one that the host's own name stands for.
pub(super) fn of_listener(bound: IpAddr, first: Option<&str>) -> std::io::Result<Vec<IpAddr>> {
    if !bound.is_unspecified() {
        return Ok(vec![bound]);
    }
    let mut found: Vec<(String, IpAddr)> = getifaddrs()
        .map_err(std::io::Error::from)?
        .filter_map(|interface| {
            let address = interface.address?.as_sockaddr_in()?.ip();
            let is_reached = !address.is_loopback() && !address.is_link_local();
            is_reached.then_some((interface.interface_name, IpAddr::V4(address)))
        })
        .collect();
    let named: Vec<IpAddr> = (bf_core::host::name().as_str(), 0)
        .to_socket_addrs()
        .map_or_else(|_| Vec::new(), |found| found.map(|address| address.ip()).collect());
    found.sort_by_key(|(interface, address)| {
        (first.is_none_or(|first| first != interface), !named.contains(address))
    });
    let mut addresses: Vec<IpAddr> = found.into_iter().map(|(_, address)| address).collect();
    addresses.dedup();
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
        assert_eq!(of_listener(one, Some("lo")).unwrap(), [one]);
        let all = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let found = of_listener(all, None).unwrap();
        assert!(!found.is_empty() && found.iter().all(|address| !address.is_unspecified()), "{found:?}");
        // Whatever interface is named, none is left out.
        for interface in getifaddrs().unwrap() {
            let mut others = of_listener(all, Some(&interface.interface_name)).unwrap();
            if let Some(own) = interface.address.and_then(|address| Some(address.as_sockaddr_in()?.ip()))
                && !own.is_loopback()
                && !own.is_link_local()
            {
                assert_eq!(others[0], IpAddr::V4(own));
            }
            others.sort_unstable();
            let mut found = found.clone();
            found.sort_unstable();
            assert_eq!(others, found);
        }
    }
}
