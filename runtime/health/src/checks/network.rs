//! Interfaces and routes.

use std::net::Ipv4Addr;

use super::Aims;
use crate::{
    Finding, Kind,
    facts::{Board, Interface, Wifi},
};

/// A weaker signal loses packets.
const WEAK_DBM: f64 = -70.0;
/// Packets dropped between two looks: so many, and one of so many, mean something.
const DROPPED: u64 = 10;
const DROPPED_PART: u64 = 100;

pub fn check(before: &Board, now: &Board, aims: &Aims) -> Vec<Finding> {
    let mut found = Vec::new();
    let elsewhere = |a: &Ipv4Addr| !a.is_loopback() && !aims.addresses.contains(a);
    let known = (aims.others.as_ref()).map(|all| {
        let others = all.iter().copied().filter(elsewhere);
        others.collect::<Vec<_>>()
    });
    let others = known.clone().unwrap_or_default();
    found.extend(unreachable(now, &others));
    found.extend(not_here(aims));
    for interface in used(now, known.as_deref()) {
        found.extend(mtu(interface, aims.packet_bytes));
        if let Some(wifi) = interface.wifi {
            found.extend(wireless(interface, wifi));
            found.extend(wrong(now, interface, &others));
        }
        let then = before.network.interfaces.iter();
        let then = then.clone().find(|i| i.name == interface.name);
        found.extend(then.and_then(|then| losing(then, interface)));
    }
    found
}

/// The interfaces that lead to the others; where those are not known, all that are up and lead anywhere.
fn used<'a>(now: &'a Board, others: Option<&[Ipv4Addr]>) -> Vec<&'a Interface> {
    let network = &now.network;
    let leads = |i: &&Interface| match others {
        None => i.is_up && network.routes.iter().any(|r| r.interface == i.name),
        Some(others) => {
            let to = |o: &Ipv4Addr| network.to(*o).is_some_and(|found| found.name == i.name);
            others.iter().any(to)
        }
    };
    network.interfaces.iter().filter(leads).collect()
}

fn unreachable(now: &Board, others: &[Ipv4Addr]) -> Option<Finding> {
    let other = others.iter().find(|o| now.network.to(**o).is_none())?;
    Some(Finding::fault(
        Kind::NoRoute,
        format!("this board has no way to {other}"),
        "/proc/net/route has no line that leads there",
        "look at its cable or Wi-Fi, and at ip address and ip route: it needs an address of the same network",
    ))
}

fn not_here(aims: &Aims) -> Option<Finding> {
    let own = aims.own.filter(|a| !aims.addresses.contains(a))?;
    let here: Vec<String> = aims.addresses.iter().map(ToString::to_string).collect();
    Some(Finding::fault(
        Kind::WrongAddress,
        format!("the cluster file says that this board is {own}, and it is not"),
        format!("its addresses are {}", here.join(", ")),
        "write its address of now into cluster.toml on all boards, and let the router give it the same one always",
    ))
}

fn mtu(interface: &Interface, packet_bytes: u32) -> Option<Finding> {
    let mtu = interface.mtu.filter(|mtu| *mtu < packet_bytes)?;
    Some(Finding::fault(
        Kind::Mtu,
        format!(
            "datagrams of {packet_bytes} bytes do not fit into packets of {}",
            interface.name
        ),
        format!("/sys/class/net/{}/mtu = {mtu}", interface.name),
        format!(
            "sudo ip link set {} mtu 1500, or use an interface without a tunnel; transfers go on in smaller pieces",
            interface.name
        ),
    ))
}

fn wireless(interface: &Interface, wifi: Wifi) -> Vec<Finding> {
    let name = &interface.name;
    let mut found = Vec::new();
    if wifi.power_save == Some(true) {
        found.push(Finding::fault(
            Kind::WifiPowerSave,
            format!("{name} sleeps between packets, which adds 50 to 200 ms to each answer"),
            format!("iw dev {name} get power_save = on"),
            format!(
                "sudo iw dev {name} set power_save off; to keep it, wifi.powersave=2 under [connection] in a file of /etc/NetworkManager/conf.d"
            ),
        ));
    }
    if let Some(dbm) = wifi.signal_dbm.filter(|dbm| *dbm < WEAK_DBM) {
        found.push(Finding::fault(
            Kind::WeakWifi,
            format!("{name} hears its access point badly"),
            format!("/proc/net/wireless level = {dbm:.0} dBm"),
            "move the board or the access point, or use a wire",
        ));
    }
    found
}

/// Wi-Fi leads to the others though there is a wire.
fn wrong(now: &Board, wifi: &Interface, others: &[Ipv4Addr]) -> Option<Finding> {
    let network = &now.network;
    let other = others
        .iter()
        .find(|o| network.to(**o).is_some_and(|i| i.name == wifi.name))?;
    let leads = |i: &&Interface| {
        let mut routes = network.routes.iter();
        i.wifi.is_none() && i.is_up && routes.any(|r| r.interface == i.name)
    };
    let wire = network.interfaces.iter().find(leads)?;
    Some(Finding::fault(
        Kind::WrongInterface,
        format!(
            "{other} is reached by {}, though {} is up",
            wifi.name, wire.name
        ),
        format!("/proc/net/route leads to {other} by {}", wifi.name),
        format!(
            "give all boards their addresses of the wired network in cluster.toml, or {} a smaller metric than {}",
            wire.name, wifi.name
        ),
    ))
}

fn losing(then: &Interface, now: &Interface) -> Option<Finding> {
    let rose = |then: u64, now: u64| now.saturating_sub(then);
    let errors = rose(then.errors, now.errors);
    let dropped = rose(then.dropped, now.dropped);
    let received = rose(then.received, now.received);
    let drops = dropped >= DROPPED && dropped * DROPPED_PART > received;
    (errors > 0 || drops).then(|| {
        Finding::fault(
            Kind::InterfaceErrors,
            format!("{} loses packets", now.name),
            format!(
                "/sys/class/net/{}/statistics: {errors} errors and {dropped} drops while {received} packets came",
                now.name
            ),
            "look at the cable, the switch's port and the driver; of Wi-Fi, at the signal",
        )
    })
}
