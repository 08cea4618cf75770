#!/usr/bin/env bash
# A slow wireless cluster on one Linux machine: a network namespace per node, and one rate limit for all traffic, as a
# radio channel has. Needs root, iproute2 with tbf, ifb and mirred.
#
#   net.sh up 6 40300kbit     # gateway 10.77.0.1, edges 10.77.0.10 to .15
#   net.sh in g CMD...        # run CMD in the gateway's namespace
#   net.sh in 0 CMD...        # run CMD on edge 0
#   net.sh bytes              # bytes that left over the channel so far, with all headers
#   net.sh down
#
# 40300kbit give 38.4 Mbit/s of payload.
set -euo pipefail
P=tessera
nodes() { cat /run/$P.nodes 2>/dev/null || true; }

up() {
    local n=$1 rate=${2:-40300kbit} node addr i
    ip netns add $P-ap
    ip -n $P-ap link set lo up
    ip -n $P-ap link add br0 type bridge
    ip -n $P-ap link set br0 up
    ip -n $P-ap link add chan type ifb
    ip -n $P-ap link set chan up
    tc -n $P-ap qdisc add dev chan root tbf rate "$rate" burst 64k latency 2s
    local all=g
    for ((i = 0; i < n; i++)); do all="$all $i"; done
    echo "$all" >/run/$P.nodes
    for node in $all; do
        ip netns add "$P-$node"
        ip -n "$P-$node" link set lo up
        ip link add "tx$node" type veth peer name eth0 netns "$P-$node"
        ip link set "tx$node" netns $P-ap
        ip -n $P-ap link set "tx$node" master br0 up
        tc -n $P-ap qdisc add dev "tx$node" handle ffff: ingress
        tc -n $P-ap filter add dev "tx$node" parent ffff: protocol all \
            u32 match u32 0 0 action mirred egress redirect dev chan
        addr=1
        [[ $node == g ]] || addr=$((10 + node))
        ip -n "$P-$node" addr add 10.77.0.$addr/24 dev eth0
        ip -n "$P-$node" link set eth0 up
    done
}

down() {
    local node
    for node in $(nodes); do ip netns del "$P-$node" 2>/dev/null || true; done
    ip netns del $P-ap 2>/dev/null || true
    rm -f /run/$P.nodes
}

case ${1:-} in
up) down; up "${2:?number of edges}" "${3:-40300kbit}" ;;
in) ns=$P-${2:?node}; shift 2; exec ip netns exec "$ns" "$@" ;;
# The channel's own count: a batch of datagrams that the kernel carries as one packet has one header in a device's count,
# and a header per datagram in the queue's.
bytes) tc -n $P-ap -s qdisc show dev chan | awk '$1 == "Sent" { n += $2 } END { print n + 0 }' ;;
down) down ;;
*) sed -n '2,12p' "$0"; exit 2 ;;
esac
