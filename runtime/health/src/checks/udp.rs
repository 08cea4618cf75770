//! Receive buffers, and datagrams that found them full.

use super::Aims;
use crate::{Finding, Kind, facts::Board};

/// A socket may lose so many at a start, or while its board is busy otherwise.
const SOCKET_DROPS: u64 = 100;

pub fn check(before: &Board, now: &Board, aims: &Aims) -> Vec<Finding> {
    let mut found = Vec::new();
    let buffer = aims.receive.map_or_else(String::new, |r| {
        format!("; of {} bytes of buffer, {} are given", r.asked, r.given)
    });
    let asked = aims.receive.map_or(4 << 20, |r| r.asked.max(4 << 20));
    let raise = format!(
        "as root: echo net.core.rmem_max={asked} > /etc/sysctl.d/60-tessera.conf; sysctl --system; then start the node again"
    );
    if let Some(r) = aims.receive.filter(|r| r.given < r.asked) {
        found.push(Finding::advice(
            Kind::ReceiveBuffer,
            "receive buffers are smaller than nodes ask for, so fewer datagrams may be on their way",
            format!("SO_RCVBUF: asked {}, given {}", r.asked, r.given),
            &raise,
        ));
    }
    let nodes = now.udp.nodes.iter();
    for (node, port, drops) in nodes.flat_map(|n| n.sockets.iter().map(move |s| (n, s.0, s.1))) {
        let before = (before.udp.nodes.iter())
            .filter(|b| b.pid == node.pid)
            .flat_map(|b| &b.sockets)
            .find(|s| s.0 == port);
        let rose = drops.saturating_sub(before.map_or(drops, |s| s.1));
        if rose > 0 || drops > SOCKET_DROPS {
            found.push(Finding::fault(
                Kind::SocketDrops,
                format!(
                    "the {} of this board has lost {drops} datagrams because its receive buffer was full",
                    node.role
                ),
                format!("/proc/net/udp port {port} drops = {drops}, {rose} of them now{buffer}"),
                &raise,
            ));
        }
    }
    let rose = |then: Option<u64>, now: Option<u64>| {
        let then = then?;
        now.map(|now| now.saturating_sub(then)).filter(|n| *n > 0)
    };
    if let Some(n) = rose(before.udp.buffer_errors, now.udp.buffer_errors)
        && !found.iter().any(|f| f.kind == Kind::SocketDrops)
    {
        found.push(Finding::fault(
            Kind::KernelDrops,
            "a program of this board loses datagrams because its receive buffer is full",
            format!("/proc/net/snmp Udp RcvbufErrors rose by {n}"),
            "ss -uamp shows whose drops (d) grow",
        ));
    }
    let (then, now) = (&before.network, &now.network);
    if let Some(n) = rose(then.backlog_dropped, now.backlog_dropped) {
        found.push(Finding::fault(
            Kind::KernelDrops,
            "a core cannot keep up with the packets that come",
            format!("/proc/net/softnet_stat dropped rose by {n}"),
            "as root: sysctl net.core.netdev_max_backlog=4000; leave one core to the network, with fewer --workers",
        ));
    }
    found
}
