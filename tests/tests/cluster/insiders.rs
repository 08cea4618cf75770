//! An invited node that lies, and somebody who records everything: what they can do is nothing, or bounded.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tessera_protocol::{
    FrameMeta, FrameNumber, PullId, RequestId, TaskId,
    wire::{
        self, ChunkRange, Envelope, Finished, FrameEntry, Heartbeat, Message, PeerAddress, Report,
    },
};
use tessera_secure::Way;
use tessera_tests::{
    insider::Insider,
    keys::Keys,
    rig::{Cluster, Edge, NodeBinary, Process, SHORT, wait_for},
};

use crate::{
    common::{Frames, LONG, node, number},
    deaths::reaches,
    sealed::{refused, setup, three},
    strangers::{ALL, Forger, PROGRAM, info, request_of_frame},
};

fn address(node: &Process, event: &str) -> Result<SocketAddr> {
    let event = node.event(event, SHORT)?;
    Ok(event["addr"].as_str().context("an address")?.parse()?)
}

/// A sealed cluster of a source that waits for its frame and a thief, and an insider that has the key of `edge-3`.
struct Scene {
    cluster: Cluster,
    insider: Insider,
    frames: Frames,
    fifo: std::path::PathBuf,
    // Last: its files are in use.
    _keys: Keys,
}

impl Scene {
    fn new() -> Result<Self> {
        let keys = three()?;
        let node = node(PROGRAM);
        let frames = Frames::new(&node, 1, 90)?;
        let fifo = frames.fifo("late")?;
        let cluster = Cluster::start(&node, setup(&keys, Edge::source(1, [fifo.clone()]), 1))?;
        reaches(&cluster.gateway, "/counters/nodes_joined", 2)?;
        let insider = insider(&keys, &node, &cluster)?;
        Ok(Self {
            cluster,
            insider,
            frames,
            fifo,
            _keys: keys,
        })
    }

    /// The frame is computed to the same bits all the same. Returns statistics of the gateway, the source and the thief.
    fn end(self) -> Result<[serde_json::Value; 3]> {
        self.frames.feed(&self.fifo, 0)?;
        let records = self.cluster.wait_records(1, LONG)?;
        self.frames.check(1, &records)?;
        self.frames.check_dump(&self.cluster, &records)?;
        let (gateway, edges) = self.cluster.stop()?;
        let [source, thief] = edges.try_into().ok().context("two edges")?;
        Ok([
            gateway,
            source.context("the source's")?,
            thief.context("the thief's")?,
        ])
    }

    /// Learns where node `number` is, and makes a session with it.
    fn meet(&mut self, number: u16) -> Result<PeerAddress> {
        let found = self.insider.join(number)?;
        let me = self.as_me(found);
        let request = RequestId(0);
        (self.insider).say(Self::way(found), me, &Message::NoWork { request });
        self.insider.listen(Duration::from_millis(200));
        Ok(found)
    }

    fn way(node: PeerAddress) -> Way {
        Way {
            number: node.id().0,
            process: Some(node.incarnation().0),
            address: node.addr(),
        }
    }

    fn as_me(&self, to: PeerAddress) -> Envelope {
        Envelope {
            to_incarnation: Some(to.incarnation()),
            ..self.insider.me
        }
    }
}

fn insider(keys: &Keys, node: &NodeBinary, cluster: &Cluster) -> Result<Insider> {
    let links = keys.links("edge-3", 5, Some(wire::sender))?;
    Insider::new(
        3,
        links,
        info(node)?,
        address(&cluster.gateway, "listening")?,
    )
}

#[test]
fn an_insider_cannot_speak_for_others() -> Result<()> {
    let mut scene = Scene::new()?;
    let source = scene.meet(1)?;
    let thief = scene.meet(2)?;
    let gateway = scene.insider.gateway();
    let life = scene.insider.gateway_life.context("a gateway")?.0;
    let said = scene.insider.got.len();
    for attack in ALL {
        for (to, lives) in [
            (gateway, [source.incarnation().0, life]),
            (Scene::way(source), [life, source.incarnation().0]),
            (Scene::way(thief), [life, thief.incarnation().0]),
        ] {
            let forger = Forger {
                info: info(&node(PROGRAM))?,
                lives,
            };
            let mut all = Vec::new();
            attack(&forger, &mut all);
            for datagram in all {
                // In its own name it may say what it likes: see the other tests.
                if wire::sender(&datagram).is_some_and(|(id, ..)| id != 3) {
                    scene.insider.send(to, &datagram);
                }
            }
            scene.insider.listen(Duration::from_millis(20));
        }
    }
    let answers = scene.insider.got.len() - said;
    assert!(answers < 20, "{answers} answers: {:?}", scene.insider.got);
    for stats in scene.end()? {
        assert!(number(&stats, "/sessions/impostors") > 0, "{stats}");
        assert_eq!(stats.pointer("/counters/traffic/rejected/role"), None);
    }
    Ok(())
}

#[test]
fn who_is_no_source_brings_no_frames() -> Result<()> {
    let mut scene = Scene::new()?;
    let source = scene.meet(1)?;
    let frames: Vec<FrameEntry> = (0..8)
        .map(|n| FrameEntry::new(FrameNumber(n), true, 0, FrameMeta::default(), 0))
        .collect();
    for seq in 0..20 {
        let heartbeat = Heartbeat {
            seq: 1000 + seq,
            next: FrameNumber(8),
            frames: &frames,
            has_work: true,
            ..scene.insider.heartbeat()
        };
        let me = Envelope {
            to_incarnation: scene.insider.gateway_life,
            ..scene.insider.me
        };
        let to = scene.insider.gateway();
        scene.insider.say(to, me, &Message::Heartbeat(heartbeat));
        let me = scene.as_me(source);
        scene.insider.say(Scene::way(source), me, &Message::Offer);
    }
    scene.insider.listen(Duration::from_millis(100));
    let [gateway, source, _] = scene.end()?;
    assert!(number(&gateway, "/counters/traffic/rejected/role") > 0);
    assert_eq!(number(&gateway, "/counters/frames_accepted"), 1);
    assert_eq!(number(&gateway, "/frames/dropped"), 0);
    assert!(number(&source, "/counters/traffic/rejected/role") > 0);
    Ok(())
}

#[test]
fn reports_of_tasks_that_were_not_given_do_not_count() -> Result<()> {
    let mut scene = Scene::new()?;
    let source = scene.meet(1)?;
    scene.frames.feed(&scene.fifo, 0)?;
    // The frame is being computed, or soon is.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) && scene.cluster.records()?.is_empty() {
        for task in 0..16 {
            let report = Report {
                number: FrameNumber(0),
                task: TaskId(task),
                request: RequestId(1),
            };
            let me = scene.as_me(source);
            let to = Scene::way(source);
            let done = Finished {
                report,
                arithmetic: 0,
            };
            scene.insider.say(to, me, &Message::Done(done));
        }
        scene.insider.listen(Duration::from_millis(1));
    }
    let records = scene.cluster.wait_records(1, LONG)?;
    scene.frames.check(1, &records)?;
    scene.frames.check_dump(&scene.cluster, &records)?;
    let (gateway, _) = scene.cluster.stop()?;
    // Nobody was sent to the insider for anything.
    assert_eq!(number(&gateway, "/counters/parts_lost"), 0, "{gateway}");
    Ok(())
}

#[test]
fn pulls_cost_a_holder_no_more_than_the_box() -> Result<()> {
    let mut scene = Scene::new()?;
    let source = scene.meet(1)?;
    let info = info(&node(PROGRAM))?;
    let frame = info.tensors[0];
    let bytes = frame.element.bytes() * frame.region.len();
    let chunks = bytes.div_ceil(1200) as u32;
    let all = ChunkRange {
        start: 0.into(),
        count: chunks.into(),
    };
    for (pull, ranges) in [(1, vec![all; 64]), (2, vec![all; 2]), (3, vec![all])] {
        let request = request_of_frame(&info, source.incarnation(), pull, &ranges);
        for _ in 0..4 {
            let me = scene.as_me(source);
            let to = Scene::way(source);
            scene.insider.say(to, me, &Message::Pull(request));
        }
    }
    scene.insider.listen(Duration::from_millis(200));
    let [_, source, _] = scene.end()?;
    assert_eq!(number(&source, "/counters/traffic/rejected/range"), 8);
    Ok(())
}

/// How a flood of an insider is met.
fn flood_is_cut(
    scene: Scene,
    to_node: Option<u16>,
    message: impl Fn(u32) -> Vec<u8>,
) -> Result<[serde_json::Value; 3]> {
    let mut scene = scene;
    let (to, victim) = match to_node {
        None => (scene.insider.gateway(), None),
        Some(number) => (
            Scene::way(scene.meet(number)?),
            Some(usize::from(number) - 1),
        ),
    };
    let ask = |scene: &Scene| {
        let node = victim.map_or(&scene.cluster.gateway, |k| &scene.cluster.edges[k]);
        node.ask(SHORT)
    };
    // First it is shut out, then its datagrams are kept away.
    for counter in [
        "/sessions/floods",
        "/sessions/shut_out",
        "/sessions/kept_away",
    ] {
        wait_for(LONG, || {
            for seq in 0..10_000 {
                scene.insider.send(to, &message(seq));
            }
            Ok((number(&ask(&scene)?, counter) > 0).then_some(()))
        })
        .with_context(|| counter.to_owned())?;
    }
    // Now it is quiet, and heard again.
    wait_for(LONG, || {
        let now = ask(&scene)?;
        let shut = now
            .pointer("/sessions/shut_out_now")
            .and_then(|v| v.as_array());
        let none = shut.context("names of nodes")?.is_empty();
        Ok(none.then_some(()))
    })?;
    let before = number(&ask(&scene)?, "/sessions/opened");
    wait_for(LONG, || {
        scene.insider.send(to, &message(0));
        Ok((number(&ask(&scene)?, "/sessions/opened") > before).then_some(()))
    })?;
    scene.end()
}

#[test]
fn who_floods_the_gateway_is_shut_out() -> Result<()> {
    let mut scene = Scene::new()?;
    scene.insider.join(1)?;
    let me = Envelope {
        to_incarnation: scene.insider.gateway_life,
        ..scene.insider.me
    };
    let asks = move |seq| {
        let mut payload = Vec::new();
        Message::StealGateway { seq }.encode(me, &mut payload);
        payload
    };
    let [gateway, ..] = flood_is_cut(scene, None, asks)?;
    assert_eq!(number(&gateway, "/sessions/impostors"), 0);
    Ok(())
}

/// Objects are not limited by their number, so what nobody asked for must be told from what somebody did.
#[test]
fn who_floods_a_source_with_objects_is_shut_out() -> Result<()> {
    let mut scene = Scene::new()?;
    let source = scene.meet(1)?;
    let me = scene.as_me(source);
    let data = move |pull: u32| {
        let mut payload = Vec::new();
        let data = wire::Data::new(&me, PullId(pull), 0, &[7; 1200]);
        Message::Data(data).encode(me, &mut payload);
        payload
    };
    let [_, source, _] = flood_is_cut(scene, Some(1), data)?;
    assert!(number(&source, "/counters/transfer/chunks_late") > 5_000);
    Ok(())
}

/// Passes everything on between one edge and the gateway, and keeps it.
struct Tap {
    at: SocketAddr,
    kept: Arc<Mutex<Vec<Vec<u8>>>>,
    over: Arc<AtomicBool>,
}

impl Tap {
    fn start(gateway: SocketAddr) -> Result<Self> {
        let near = UdpSocket::bind("127.0.0.1:0")?;
        let far = UdpSocket::bind("127.0.0.1:0")?;
        for socket in [&near, &far] {
            socket.set_read_timeout(Some(Duration::from_micros(200)))?;
        }
        let tap = Self {
            at: near.local_addr()?,
            kept: Arc::default(),
            over: Arc::default(),
        };
        let (kept, over) = (Arc::clone(&tap.kept), Arc::clone(&tap.over));
        std::thread::spawn(move || {
            let mut edge = None;
            let mut buffer = [0; 2048];
            while !over.load(Ordering::Relaxed) {
                if let Ok((n, from)) = near.recv_from(&mut buffer) {
                    edge = Some(from);
                    let _ = far.send_to(&buffer[..n], gateway);
                    kept.lock().unwrap().push(buffer[..n].to_vec());
                }
                if let (Ok((n, _)), Some(edge)) = (far.recv_from(&mut buffer), edge) {
                    let _ = near.send_to(&buffer[..n], edge);
                }
            }
        });
        Ok(tap)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

#[test]
fn recordings_do_nothing_even_to_a_later_gateway() -> Result<()> {
    let keys = three()?;
    let node = node(PROGRAM);
    let frames = Frames::new(&node, 2, 91)?;
    let fifos = [frames.fifo("first")?, frames.fifo("second")?];
    let mut cluster = Cluster::start(&node, setup(&keys, Edge::source(1, fifos.clone()), 0))?;
    let gateway = address(&cluster.gateway, "listening")?;
    let tap = Tap::start(gateway)?;
    // The source speaks through the tap from now on.
    let mut source = Edge::source(1, fifos.clone());
    source.flags = keys.flags("edge-1");
    source
        .flags
        .extend(["--gateway".into(), tap.at.to_string()]);
    cluster.restart_edge(0, &source)?;
    cluster.edges[0].event("joined", SHORT)?;
    frames.feed(&fifos[0], 0)?;
    cluster.wait_records(1, LONG)?;
    let replay = |gateway: &Process, why: [&str; 2]| -> Result<()> {
        let stranger = UdpSocket::bind("127.0.0.1:0")?;
        let kept = tap.kept.lock().unwrap().clone();
        assert!(kept.len() > 10, "{}", kept.len());
        for datagram in &kept {
            stranger.send_to(datagram, address(gateway, "listening")?)?;
        }
        wait_for(LONG, || {
            let counted = why.map(|why| refused(gateway, why));
            let [a, b] = counted;
            Ok((a? + b? > 5).then_some(()))
        })
        .with_context(|| format!("{why:?}: {}", gateway.complaint()))
    };
    let before = cluster.gateway.ask(SHORT)?;
    replay(&cluster.gateway, ["replayed_data", "replayed_initiation"])?;
    let after = cluster.gateway.ask(SHORT)?;
    for counter in [
        "/counters/nodes_joined",
        "/counters/nodes_lost",
        "/sessions/addresses_changed",
    ] {
        assert_eq!(
            number(&before, counter),
            number(&after, counter),
            "{counter}"
        );
    }
    // The next process knows no session, so a recorded handshake gets an answer, and then nothing.
    cluster.restart_gateway()?;
    replay(&cluster.gateway, ["unknown_session", "unknown_session"])?;
    reaches(&cluster.gateway, "/counters/nodes_joined", 1)?;
    frames.feed(&fifos[1], 1)?;
    let records = cluster.wait_records(2, LONG)?;
    frames.check(1, &records)?;
    let stats = cluster.gateway.ask(SHORT)?;
    assert_eq!(number(&stats, "/counters/nodes_joined"), 1, "{stats}");
    Ok(())
}

#[test]
fn bogus_handshakes_hold_nobody_up() -> Result<()> {
    let scene = Scene::new()?;
    let gateway = address(&scene.cluster.gateway, "listening")?;
    let over = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&over);
    let flood = std::thread::spawn(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut initiation = [0u8; 152];
        initiation[0] = 1;
        while !stop.load(Ordering::Relaxed) {
            // About 10,000 a second.
            for _ in 0..10 {
                for byte in &mut initiation[4..] {
                    *byte = byte.wrapping_mul(167).wrapping_add(13);
                }
                let _ = socket.send_to(&initiation, gateway);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let counted = wait_for(LONG, || {
        Ok((refused(&scene.cluster.gateway, "bad_mac1")? > 1000).then_some(()))
    });
    let ended = counted.and_then(|()| scene.end());
    over.store(true, Ordering::Relaxed);
    flood.join().unwrap();
    let [gateway, ..] = ended?;
    // A few operations for the nodes' own handshakes; none for the flood.
    assert!(
        number(&gateway, "/sessions/curve_operations") < 200,
        "{gateway}"
    );
    assert_eq!(number(&gateway, "/sessions/cookies_sent"), 0);
    Ok(())
}
