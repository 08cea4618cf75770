//! Tests the rig with a stand-in for a node: a shell script with the same command line.

use nix::sys::signal::Signal;

use super::*;

/// Listens (says so), starts one child, writes a record for every frame file, ends on SIGTERM.
const STAND_IN: &str = r#"
role=$1; shift
frames=0
while [ $# -gt 0 ]; do
    case "$1" in
        --stats) stats=$2; shift 2 ;;
        --records) records=$2; shift 2 ;;
        --gateway) gateway=$2; shift 2 ;;
        --listen) listen=$2; shift 2 ;;
        --id) id=$2; shift 2 ;;
        --fail) echo "error: told to fail" >&2; exit 3 ;;
        *) shift ;;
    esac
done
sleep 1000 &
child=$!
trap 'kill $child; echo "{\"role\":\"$role\",\"gateway\":\"$gateway\"}" > "$stats"; exit 0' TERM
if [ $role = gateway ]; then
    [ "$listen" = 127.0.0.1:0 ] && listen=127.0.0.1:9
    echo 'a line that is no event'
    echo "{\"event\":\"listening\",\"addr\":\"$listen\"}"
    echo '{"frame":0}' >> "$records"
    printf '{"fra' >> "$records"
else
    echo "{\"event\":\"joined\",\"id\":$id}"
fi
while :; do wait $child; done
"#;

fn stand_in(dir: &Path) -> NodeBinary {
    let script = dir.join("node.sh");
    fs::write(&script, STAND_IN).unwrap();
    NodeBinary {
        runner: vec!["sh".into()],
        ..NodeBinary::new(script, "weights.bin")
    }
}

fn cluster(setup: Setup) -> (TempDir, Cluster) {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(&stand_in(dir.path()), setup).unwrap();
    (dir, cluster)
}

fn running(id: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

fn gone(ids: &[i32]) {
    wait_for(SHORT, || {
        Ok(ids.iter().all(|id| !running(*id)).then_some(()))
    })
    .unwrap();
}

#[test]
fn a_cluster_starts_tells_and_stops() {
    let (_dir, cluster) = cluster(Setup {
        edges: vec![Edge::thief(1), Edge::source(2, ["a.f32".into()])],
        ..Setup::default()
    });
    let joined = cluster.edges[1].event("joined", SHORT).unwrap();
    assert_eq!(joined["id"], 2);
    // An incomplete line does not count as a record.
    let records = cluster.wait_records(1, SHORT).unwrap();
    assert_eq!(records[0]["frame"], 0);
    let (gateway, edges) = cluster.stop().unwrap();
    assert_eq!(gateway["role"], "gateway");
    assert_eq!(edges[0].as_ref().unwrap()["gateway"], "127.0.0.1:9");
}

#[test]
fn edges_behind_a_relay_are_told_its_address() {
    let (_dir, cluster) = cluster(Setup {
        edges: vec![Edge::thief(1)],
        relay: Some((Faults::rough(0.1), 1)),
        ..Setup::default()
    });
    cluster.edges[0].event("joined", SHORT).unwrap();
    let relay = cluster.relay.as_ref().unwrap();
    let public = relay.public("127.0.0.1:9".parse().unwrap()).unwrap();
    let (_, edges) = cluster.stop().unwrap();
    assert_eq!(
        edges[0].as_ref().unwrap()["gateway"],
        public.to_string().as_str()
    );
}

#[test]
fn killed_nodes_leave_nobody_behind() {
    let (_dir, mut cluster) = cluster(Setup {
        edges: vec![Edge::thief(1), Edge::thief(1)],
        ..Setup::default()
    });
    for e in &cluster.edges {
        e.event("joined", SHORT).unwrap();
    }
    let first = &cluster.edges[0];
    let children = first.children().unwrap();
    assert_eq!(children.len(), 1);
    assert!(first.kill_child(1).is_err(), "not its child");
    first.pause(true).unwrap();
    first.pause(false).unwrap();
    first.kill().unwrap();
    assert_eq!(first.end().unwrap(), Some(End::Signal(Signal::SIGKILL)));
    assert!(first.kill().is_err(), "killed twice");
    // The stand-in's child does not notice; a node's workers must.
    assert!(first.wait_alone(Duration::from_millis(50)).is_err());
    cluster.restart_edge(0, &Edge::thief(1)).unwrap();
    // The group ends with its owner.
    gone(&children);
    cluster.edges[0].event("joined", SHORT).unwrap();

    cluster.restart_gateway().unwrap();
    let ids: Vec<i32> = [&cluster.gateway]
        .into_iter()
        .chain(&cluster.edges)
        .flat_map(|p| p.children().unwrap().into_iter().chain([p.id()]))
        .collect();
    assert!(ids.len() > 3 && ids.iter().all(|id| running(*id)));
    drop(cluster);
    gone(&ids);
}

#[test]
fn a_node_that_fails_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup {
        flags: vec!["--fail".into()],
        ..Setup::default()
    };
    let e = Cluster::start(&stand_in(dir.path()), setup).unwrap_err();
    assert!(format!("{e:#}").contains("told to fail"), "{e:#}");
    let missing = NodeBinary::new(dir.path().join("none"), "weights.bin");
    assert!(Cluster::start(&missing, Setup::default()).is_err());
}

#[test]
fn waiting_ends() {
    let (_dir, cluster) = cluster(Setup::default());
    let soon = Duration::from_millis(20);
    assert!(cluster.gateway.event("never", soon).is_err());
    assert!(cluster.gateway.wait(soon).is_err());
    let e = cluster.wait_records(2, soon).unwrap_err();
    assert!(format!("{e:#}").contains("1 of 2 records"), "{e:#}");
    assert!(cluster.dumped(3).is_err());
}
