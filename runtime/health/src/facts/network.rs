//! Network interfaces, and which of them leads where.

use std::net::Ipv4Addr;

use crate::Root;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Network {
    /// All interfaces but loopback.
    pub interfaces: Vec<Interface>,
    /// Routes of IPv4.
    pub routes: Vec<Route>,
    /// Packets that the kernel dropped since the start, because a core's queue was full.
    pub backlog_dropped: Option<u64>,
}

/// An interface.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interface {
    /// `eth0`.
    pub name: String,
    /// Longest packet, in bytes.
    pub mtu: Option<u32>,
    /// It is up and has a partner.
    pub is_up: bool,
    /// What Wi-Fi says, if it is one.
    pub wifi: Option<Wifi>,
    /// Packets received since the start.
    pub received: u64,
    /// Packets that were damaged, or found no room in the interface, since the start.
    pub errors: u64,
    /// Packets dropped behind the interface since the start. Some are of protocols that nobody knows.
    pub dropped: u64,
}

/// A wireless interface.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wifi {
    /// It sleeps between packets.
    pub power_save: Option<bool>,
    /// Strength of the signal, in dBm.
    pub signal_dbm: Option<f64>,
}

/// A route of IPv4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The interface.
    pub interface: String,
    /// The network.
    pub to: Ipv4Addr,
    /// Ones of its mask.
    pub prefix: u32,
    /// The least holds.
    pub metric: u32,
    /// There is no router between.
    pub is_direct: bool,
}

impl Network {
    /// Reads it.
    pub fn read(root: &Root) -> Self {
        let wireless = root.text("proc/net/wireless").unwrap_or_default();
        let names = root.names("sys/class/net");
        let names = names.iter().filter(|n| *n != "lo");
        Self {
            interfaces: names.map(|n| interface(root, n, &wireless)).collect(),
            routes: routes(&root.text("proc/net/route").unwrap_or_default()),
            backlog_dropped: root.text("proc/net/softnet_stat").map(|t| backlog(&t)),
        }
    }

    /// The interface that leads to an address, by the route with the longest prefix and the least metric. `None` without one.
    pub fn to(&self, address: Ipv4Addr) -> Option<&Interface> {
        let fits = |r: &&Route| {
            let mask = u32::MAX.checked_shl(32 - r.prefix).unwrap_or(0);
            (u32::from(address) ^ u32::from(r.to)) & mask == 0
        };
        let best = (self.routes.iter().filter(fits))
            .min_by_key(|r| (std::cmp::Reverse(r.prefix), r.metric))?;
        (self.interfaces.iter()).find(|i| i.name == best.interface)
    }
}

fn interface(root: &Root, name: &str, wireless: &str) -> Interface {
    let at = |file: &str| format!("sys/class/net/{name}/{file}");
    let count = |file: &str| {
        let n = root.number(at(&format!("statistics/{file}")));
        n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
    };
    let is_wifi = root.has(at("wireless")) || root.has(at("phy80211"));
    Interface {
        name: name.into(),
        mtu: root.number(at("mtu")).and_then(|n| u32::try_from(n).ok()),
        is_up: root.text(at("operstate")).as_deref() == Some("up"),
        wifi: is_wifi.then(|| Wifi {
            power_save: power_save(root, name),
            signal_dbm: level_dbm(wireless, name),
        }),
        received: count("rx_packets"),
        errors: count("rx_errors") + count("rx_fifo_errors") + count("tx_errors"),
        dropped: count("rx_dropped"),
    }
}

fn power_save(root: &Root, name: &str) -> Option<bool> {
    let said = root.said("iw", &["dev", name, "get", "power_save"])?;
    match said.rsplit_once(' ')?.1 {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

/// Strength of the strongest signal of Wi-Fi, in dBm. It asks no program.
pub fn signal_dbm(root: &Root) -> Option<f64> {
    let text = root.text("proc/net/wireless")?;
    let names = text.lines().filter_map(|l| Some(l.split_once(':')?.0));
    names
        .filter_map(|name| level_dbm(&text, name.trim()))
        .max_by(f64::total_cmp)
}

/// Lines of `/proc/net/wireless`: `wlan0: 0000   54.  -56.  -256 ..`, of which the third number is the level.
fn level_dbm(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|l| {
        let (its, rest) = l.trim_start().split_once(':')?;
        (its == name).then_some(rest)
    })?;
    let level = line.split_ascii_whitespace().nth(2)?.trim_end_matches('.');
    level.parse().ok().filter(|l| *l < 0.0)
}

/// Lines of `/proc/net/route`: `eth0 0002A8C0 00000000 0001 0 0 100 00FFFFFF ..`; addresses have their bytes from right to left.
fn routes(text: &str) -> Vec<Route> {
    const UP: u32 = 1;
    const GATEWAY: u32 = 2;
    const REJECT: u32 = 0x200;
    let of = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let hex = |at: usize| u32::from_str_radix(words.get(at)?, 16).ok();
        let flags = hex(3)?;
        (flags & UP != 0 && flags & REJECT == 0).then_some(())?;
        Some(Route {
            interface: (*words.first()?).into(),
            to: Ipv4Addr::from(hex(1)?.swap_bytes()),
            prefix: hex(7)?.count_ones(),
            metric: words.get(6)?.parse().ok()?,
            is_direct: flags & GATEWAY == 0,
        })
    };
    text.lines().skip(1).filter_map(of).collect()
}

/// Of each core's line, the second number is of packets dropped.
fn backlog(text: &str) -> u64 {
    let of = |line: &str| u64::from_str_radix(line.split_ascii_whitespace().nth(1)?, 16).ok();
    text.lines().filter_map(of).sum()
}
