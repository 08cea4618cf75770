//! Each row on a made-up board: a healthy Raspberry Pi gets no finding, and one change gets that one.

use std::{
    fs,
    net::Ipv4Addr,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use tempfile::TempDir;

use super::{reach::Udp, *};
use crate::{Kind, Root, Severity, facts::Board, lines};

/// A healthy board with a wire and idle Wi-Fi, and an edge that runs.
const PI: &[(&str, &str)] = &[
    ("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0"),
    (
        "proc/meminfo",
        "MemTotal:        3884064 kB\nMemFree:          100000 kB\nMemAvailable:    3000000 kB\n",
    ),
    ("proc/vmstat", "pswpin 0\npswpout 12\n"),
    ("proc/self/cgroup", "0::/system.slice/tessera.service\n"),
    (
        "sys/fs/cgroup/system.slice/tessera.service/memory.max",
        "536870912\n",
    ),
    (
        "sys/fs/cgroup/system.slice/tessera.service/memory.current",
        "524288000\n",
    ),
    (
        "sys/fs/cgroup/system.slice/tessera.service/memory.stat",
        "anon 1000\ninactive_file 300000000\n",
    ),
    (
        "sys/fs/cgroup/system.slice/tessera.service/memory.events",
        "low 0\nhigh 0\nmax 9\noom 0\noom_kill 0\n",
    ),
    ("sys/fs/cgroup/system.slice/memory.max", "max\n"),
    (
        "proc/net/route",
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
         eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
         eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n\
         wlan0\t0001A8C0\t00000000\t0001\t0\t0\t600\t00FFFFFF\t0\t0\t0\n",
    ),
    (
        "proc/net/snmp",
        "Ip: Forwarding InReceives\nIp: 2 9\nUdp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors\n\
         Udp: 5000 1 3 4000 3 0\n",
    ),
    ("proc/net/snmp6", "Udp6InDatagrams 4\nUdp6RcvbufErrors 0\n"),
    (
        "proc/net/softnet_stat",
        "00001000 00000000 00000003\n00000900 00000002 00000000\n",
    ),
    (
        "proc/net/udp",
        "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
         386: 00000000:1CE8 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 7\n\
         387: 00000000:14E9 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4712 2 0000000000000000 90000\n",
    ),
    ("proc/net/udp6", "  sl  local_address\n"),
    (
        "proc/net/wireless",
        "Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE\n \
         face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22\n \
         wlan0: 0000   54.  -56.  -256        0      0      0      0      0        0\n",
    ),
    ("proc/40/comm", "node\n"),
    (
        "proc/40/cmdline",
        "./node\0edge\0--config\0cluster.toml\0--name\0porch\0",
    ),
    ("proc/41/comm", "node\n"),
    ("proc/41/cmdline", "node\0/srv/page.js\0"),
    ("sys/class/net/lo/mtu", "65536\n"),
    ("sys/class/net/eth0/mtu", "1500\n"),
    ("sys/class/net/eth0/operstate", "up\n"),
    ("sys/class/net/eth0/statistics/rx_packets", "100000\n"),
    ("sys/class/net/eth0/statistics/rx_errors", "4\n"),
    ("sys/class/net/eth0/statistics/rx_dropped", "90\n"),
    ("sys/class/net/wlan0/mtu", "1500\n"),
    ("sys/class/net/wlan0/operstate", "up\n"),
    ("sys/class/net/wlan0/wireless/x", ""),
    ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
    ("sys/class/thermal/thermal_zone0/temp", "51121\n"),
    ("sys/class/thermal/thermal_zone1/type", "nvme\n"),
    ("sys/class/thermal/thermal_zone1/temp", "91000\n"),
    ("sys/class/hwmon/hwmon0/name", "cpu_thermal\n"),
    ("sys/class/hwmon/hwmon1/name", "rpi_volt\n"),
    ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n"),
    ("sys/devices/platform/soc/soc:firmware/get_throttled", "0\n"),
    (
        "sys/devices/system/cpu/cpufreq/policy0/scaling_governor",
        "ondemand\n",
    ),
    (
        "sys/devices/system/cpu/cpufreq/policy0/scaling_driver",
        "cpufreq-dt\n",
    ),
    (
        "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq",
        "1800000\n",
    ),
    (
        "sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq",
        "1800000\n",
    ),
    ("run/systemd/timesync/synchronized", ""),
];

const THROTTLED: &str = "sys/devices/platform/soc/soc:firmware/get_throttled";
const OTHER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 10);
const OWN: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 11);

fn write(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The tree of a healthy board.
fn pi() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in PI {
        write(folder.path(), file, text);
    }
    let fd = folder.path().join("proc/40/fd");
    fs::create_dir_all(&fd).unwrap();
    symlink("socket:[4711]", fd.join("3")).unwrap();
    symlink("pipe:[99]", fd.join("4")).unwrap();
    folder
}

/// A program of the board.
fn program(folder: &TempDir, name: &str, body: &str) {
    let file = format!("usr/sbin/{name}");
    write(folder.path(), &file, &format!("#!/bin/sh\n{body}\n"));
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path().join(file), mode).unwrap();
}

fn read(folder: &TempDir) -> Board {
    Board::read(&Root::new(folder.path()), "node")
}

fn aims() -> Aims {
    Aims {
        others: Some(vec![OTHER]),
        own: Some(OWN),
        addresses: vec![OWN],
        packet_bytes: 1484,
        receive: Some(ReceiveBuffer {
            asked: 1 << 20,
            given: 1 << 20,
        }),
    }
}

fn kinds(found: &[Finding]) -> Vec<Kind> {
    found.iter().map(|f| f.kind).collect()
}

/// Checks what is found after files of a healthy board change.
#[track_caller]
fn changed(files: &[(&str, &str)], expected: &[Kind]) -> Vec<Finding> {
    let folder = pi();
    let before = read(&folder);
    for (file, text) in files {
        write(folder.path(), file, text);
    }
    let found = board(&before, &read(&folder), &aims());
    assert_eq!(kinds(&found), expected, "{}", lines(&found));
    found
}

/// The text of a file of the healthy board with something else in it.
fn with(file: &str, from: &str, to: &str) -> String {
    let text = PI.iter().find(|(f, _)| *f == file).unwrap().1;
    assert!(text.contains(from), "{file}: {from}");
    text.replace(from, to)
}

#[test]
fn a_healthy_board_is_left_alone() {
    changed(&[], &[]);
    let board = read(&pi());
    assert_eq!(
        board.model.as_deref(),
        Some("Raspberry Pi 4 Model B Rev 1.4")
    );
    assert_eq!(
        board.temperature_c,
        Some(51.121),
        "the disk's does not count"
    );
    assert_eq!(board.udp.nodes.len(), 1, "another program is called node");
    assert_eq!(board.udp.nodes[0].sockets, [(7400, 7)]);
    let wifi = board.network.interfaces[1].wifi.unwrap();
    assert_eq!((wifi.power_save, wifi.signal_dbm), (None, Some(-56.0)));
    assert_eq!(board.memory.group.unwrap().used, 224_288_000);
}

#[test]
fn where_nothing_can_be_read_nothing_is_said() {
    let empty = tempfile::tempdir().unwrap();
    let board_of_nothing = read(&empty);
    let aims = Aims {
        others: None,
        own: None,
        ..aims()
    };
    assert_eq!(board(&board_of_nothing, &board_of_nothing, &aims), []);
}

#[test]
fn this_machine_can_be_read() {
    let here = Board::read(&Root::default(), "node");
    assert!(here.memory.total > Some(0));
    assert!(here.udp.buffer_errors.is_some(), "{:?}", here.udp);
    assert!(here.network.backlog_dropped.is_some());
}

#[test]
fn weak_supplies() {
    // Now, which includes before; with the clock capped and throttled as it follows.
    changed(&[(THROTTLED, "50001\n")], &[Kind::UnderVoltage]);
    changed(&[(THROTTLED, "50000\n")], &[Kind::UnderVoltageBefore]);
    changed(
        &[("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n")],
        &[Kind::UnderVoltage],
    );
    let found = changed(&[(THROTTLED, "10000\n")], &[Kind::UnderVoltageBefore]);
    assert!(found[0].seen.contains("0x10000"), "{found:?}");
}

#[test]
fn heat() {
    changed(&[(THROTTLED, "e0006\n")], &[Kind::Throttled]);
    changed(&[(THROTTLED, "8\n")], &[Kind::Throttled]);
    changed(&[(THROTTLED, "80000\n")], &[Kind::ThrottledBefore]);
    changed(&[(THROTTLED, "40000\n")], &[Kind::ThrottledBefore]);
    let zone = "sys/class/thermal/thermal_zone0/temp";
    changed(&[(zone, "79900\n")], &[]);
    changed(&[(zone, "82000\n")], &[Kind::Hot]);
}

#[test]
fn the_firmware_is_asked_where_the_kernel_tells_nothing() {
    let folder = pi();
    fs::remove_file(folder.path().join(THROTTLED)).unwrap();
    assert_eq!(read(&folder).power.throttled, None);
    program(
        &folder,
        "vcgencmd",
        "[ $1 = get_throttled ] && echo throttled=0x50005",
    );
    let now = read(&folder);
    assert_eq!(now.power.throttled, Some(0x50005));
    let found = board(&now, &now, &aims());
    assert_eq!(kinds(&found), [Kind::UnderVoltage, Kind::Throttled]);
}

#[test]
fn clocks_kept_low() {
    let at = |file: &str| format!("sys/devices/system/cpu/cpufreq/policy0/{file}");
    changed(
        &[(&at("scaling_governor"), "powersave\n")],
        &[Kind::SlowClock],
    );
    changed(
        &[
            (&at("scaling_governor"), "powersave\n"),
            (&at("scaling_driver"), "intel_pstate\n"),
        ],
        &[],
    );
    let found = changed(&[(&at("scaling_max_freq"), "600000\n")], &[Kind::SlowClock]);
    assert!(found[0].what.contains("600 MHz"), "{found:?}");
}

#[test]
fn memory() {
    changed(
        &[(
            "proc/meminfo",
            "MemTotal: 3884064 kB\nMemAvailable: 30000 kB\n",
        )],
        &[Kind::LittleMemory],
    );
    let at = |file: &str| format!("sys/fs/cgroup/system.slice/tessera.service/{file}");
    changed(
        &[(&at("memory.current"), "830000000\n")],
        &[Kind::MemoryLimit],
    );
    changed(
        &[(&at("memory.events"), "oom_kill 2\n")],
        &[Kind::KilledForMemory],
    );
    // The group above has less room.
    changed(
        &[
            ("sys/fs/cgroup/system.slice/memory.max", "1000000\n"),
            ("sys/fs/cgroup/system.slice/memory.current", "990000\n"),
        ],
        &[Kind::MemoryLimit],
    );
    changed(
        &[("proc/vmstat", "pswpin 0\npswpout 13\n")],
        &[Kind::Swapping],
    );
}

#[test]
fn datagrams_that_are_lost() {
    let udp = "proc/net/udp";
    let drops = |n: &str| {
        with(
            udp,
            "0000000000000000 7\n",
            &format!("0000000000000000 {n}\n"),
        )
    };
    changed(&[(udp, &drops("8"))], &[Kind::SocketDrops]);
    let snmp = "proc/net/snmp";
    let more = with(snmp, "4000 3 0", "4000 5 0");
    changed(&[(snmp, &more)], &[Kind::KernelDrops]);
    // One line for one thing.
    changed(&[(snmp, &more), (udp, &drops("9"))], &[Kind::SocketDrops]);
    changed(
        &[(
            "proc/net/softnet_stat",
            "00001000 00000000 3\n00000900 00000003 0\n",
        )],
        &[Kind::KernelDrops],
    );
    // Many, though none of them now.
    let folder = pi();
    write(folder.path(), udp, &drops("5000"));
    let now = read(&folder);
    assert_eq!(kinds(&board(&now, &now, &aims())), [Kind::SocketDrops]);
    let at = |file: &str| format!("sys/class/net/eth0/statistics/{file}");
    changed(&[(&at("rx_errors"), "5\n")], &[Kind::InterfaceErrors]);
    changed(&[(&at("rx_dropped"), "99\n")], &[]);
    changed(&[(&at("rx_dropped"), "200\n")], &[Kind::InterfaceErrors]);
}

#[test]
fn small_receive_buffers() {
    let now = read(&pi());
    let receive = ReceiveBuffer {
        asked: 1 << 20,
        given: 212_992,
    };
    let aims = Aims {
        receive: Some(receive),
        ..aims()
    };
    let found = board(&now, &now, &aims);
    assert_eq!(kinds(&found), [Kind::ReceiveBuffer]);
    assert_eq!(found[0].severity, Severity::Advice);
    assert!(found[0].advice.contains("net.core.rmem_max=4194304"));
}

#[test]
fn interfaces() {
    changed(&[("sys/class/net/eth0/mtu", "1280\n")], &[Kind::Mtu]);
    // The others are not reached by it.
    changed(&[("sys/class/net/wlan0/mtu", "1280\n")], &[]);
    let route = "proc/net/route";
    let by_wifi = with(route, "\t600\t", "\t50\t");
    changed(&[(route, &by_wifi)], &[Kind::WrongInterface]);
    changed(
        &[
            (route, &by_wifi),
            ("sys/class/net/eth0/operstate", "down\n"),
        ],
        &[],
    );
    let weak = with("proc/net/wireless", "-56.", "-77.");
    changed(
        &[
            (route, &by_wifi),
            ("sys/class/net/eth0/operstate", "down\n"),
            ("proc/net/wireless", &weak),
        ],
        &[Kind::WeakWifi],
    );
    changed(&[(route, "Iface\n")], &[Kind::NoRoute]);
    let elsewhere = Aims {
        own: Some(Ipv4Addr::new(192, 168, 1, 77)),
        ..aims()
    };
    let now = read(&pi());
    assert_eq!(kinds(&board(&now, &now, &elsewhere)), [Kind::WrongAddress]);
}

#[test]
fn sleeping_wifi() {
    let folder = pi();
    let route = with("proc/net/route", "\t600\t", "\t50\t");
    write(folder.path(), "proc/net/route", &route);
    write(folder.path(), "sys/class/net/eth0/operstate", "down\n");
    for (state, expected) in [("on", &[Kind::WifiPowerSave][..]), ("off", &[])] {
        let words = "[ \"$*\" = 'dev wlan0 get power_save' ]";
        program(
            &folder,
            "iw",
            &format!("{words} && echo Power save: {state}"),
        );
        let now = read(&folder);
        assert_eq!(kinds(&board(&now, &now, &aims())), expected, "{state}");
    }
}

#[test]
fn clocks_that_are_wrong() {
    let folder = pi();
    fs::remove_file(folder.path().join("run/systemd/timesync/synchronized")).unwrap();
    let mut now = read(&folder);
    assert_eq!(
        kinds(&board(&now, &now, &aims())),
        [Kind::ClockUnsynchronized]
    );
    now.clock.unix = std::time::Duration::from_secs(3600);
    assert_eq!(kinds(&board(&now, &now, &aims())), [Kind::ClockUnset]);
}

#[test]
fn ways() {
    let good = Way {
        delay_us: 900,
        slow_us: 4_000,
        sent: 200,
        arrived: 199,
    };
    let of = |w: Way| kinds(&way("a", "b", w));
    assert_eq!(of(good), []);
    assert_eq!(
        of(Way {
            arrived: 190,
            ..good
        }),
        [Kind::Loss]
    );
    assert_eq!(
        of(Way {
            delay_us: 21_000,
            slow_us: 22_000,
            ..good
        }),
        [Kind::Delay]
    );
    assert_eq!(of(Way { arrived: 0, ..good }), [Kind::Mtu]);
    assert_eq!(
        of(Way {
            slow_us: 120_000,
            ..good
        }),
        [Kind::Delay]
    );
}

#[test]
fn every_row_is_documented() {
    let doc = include_str!("../../../../docs/doctor.md");
    let rows = doc.lines().filter_map(|l| l.strip_prefix("| `"));
    let rows = rows.filter_map(|l| l.split('`').next());
    let mut documented: Vec<&str> = rows.filter(|r| !r.starts_with("--")).collect();
    let mut all: Vec<&str> = Kind::ALL.iter().map(|k| k.name()).collect();
    documented.sort_unstable();
    all.sort_unstable();
    assert_eq!(documented, all);
}

#[test]
fn silence_has_reasons() {
    let of = |udp, tcp, is_neighbour| {
        let r = Reach {
            udp,
            tcp,
            is_neighbour,
            has_keys: true,
        };
        reach("shed", "192.168.1.12:7400", r).kind
    };
    assert_eq!(
        of(Udp::Refused, Tcp::Answered, Some(true)),
        Kind::NothingListens
    );
    assert_eq!(
        of(Udp::Silence, Tcp::Answered, Some(true)),
        Kind::Unanswered
    );
    assert_eq!(of(Udp::Silence, Tcp::Silence, Some(true)), Kind::Firewall);
    assert_eq!(of(Udp::NoWay, Tcp::Answered, Some(true)), Kind::Firewall);
    assert_eq!(of(Udp::NoWay, Tcp::NoWay, Some(true)), Kind::Firewall);
    assert_eq!(of(Udp::Silence, Tcp::Silence, Some(false)), Kind::Absent);
    assert_eq!(of(Udp::NoWay, Tcp::NoWay, None), Kind::Absent);
}

#[test]
fn the_kernel_says_what_it_gives() {
    let given = crate::facts::receive_buffer(8192).expect("a network");
    assert_eq!((given.asked, given.given), (8192, 8192));
    let much = crate::facts::receive_buffer(1 << 30).expect("a network");
    assert!(much.given < much.asked, "{much:?}");
}
