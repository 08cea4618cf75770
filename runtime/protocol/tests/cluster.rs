//! The two machines together, in the simulator's world: what its scenarios do not ask one by one.
#![forbid(unsafe_code)]

use std::{net::SocketAddr, sync::Arc};

use tessera_plan::element::ElementType;
use tessera_protocol::{
    Condition, Drained, EdgeConfig, EdgeStats, FrameOutcome, GatewayStats, Incarnation, NodeId,
    Notice, Placement, ProgramInfo, Refusal, RequestId, Traffic,
    wire::{Envelope, Message, MessageKind, Reject, plan_prefix},
};
use tessera_sim::{EdgeSpec, Fault, LinkConditions, Stranger, World, WorldConfig, program};

/// A gateway and edges 1, 2, ... that run two stages of 3 x 3 tiles and 3 bands.
struct Cluster {
    world: World,
    info: Arc<ProgramInfo>,
    /// Frames that each edge brings.
    frames: Vec<u32>,
}

impl Cluster {
    /// Edges that bring so many frames each, over links without faults.
    fn new(frames: &[u32]) -> Self {
        Self::changed(frames, |_| {})
    }

    fn changed(frames: &[u32], change: impl FnOnce(&mut WorldConfig)) -> Self {
        let elements = [ElementType::U8, ElementType::F16, ElementType::F32];
        let info = Arc::new(ProgramInfo {
            plan_hash: [7; 32],
            model_digest: [9; 32],
            placement: Placement::Steal,
            boards: 1,
            graph: program::two_stages(3, elements),
        });
        let edges = frames.iter().map(|&n| {
            let edge = EdgeSpec {
                task_us: 600,
                ..EdgeSpec::new()
            };
            if n > 0 { edge.source(n) } else { edge }
        });
        let mut config = WorldConfig {
            seed: 1,
            edges: edges.collect(),
            ..WorldConfig::new(Arc::clone(&info))
        };
        change(&mut config);
        Self {
            world: World::new(&config),
            info,
            frames: frames.to_vec(),
        }
    }

    /// Runs for a while.
    fn run_us(&mut self, us: u64) {
        let until_us = self.world.now_us() + us;
        self.world.run_until(until_us).expect("no broken rule");
    }

    /// Runs until `enough` holds, at most 20 s.
    fn run_until(&mut self, enough: impl Fn(&Self) -> bool) {
        for _ in 0..20_000 {
            if enough(self) {
                return;
            }
            self.run_us(1_000);
        }
        panic!("it does not end");
    }

    fn edge(&self, node: usize) -> &EdgeStats {
        self.world.edge_stats(node).expect("a living edge")
    }

    fn gateway(&self) -> &GatewayStats {
        self.world.gateway_stats().expect("a living gateway")
    }

    fn drained(&self) -> Drained {
        self.world.drained().expect("a living gateway")
    }

    /// All frames have detections, nothing is kept, counters agree.
    fn check(&mut self) {
        let until_us = self.world.now_us() + 60_000_000;
        let finished = self.world.run_until_finished(until_us);
        assert!(finished.expect("no broken rule"));
        self.run_us(3_000_000);
        let frames: u32 = self.frames.iter().sum();
        let all = self.world.ledger().frames();
        assert_eq!(all.len(), frames as usize);
        for record in all.values() {
            assert_eq!(record.heard, Some(FrameOutcome::Detections));
            assert_eq!(record.records().count(), 1, "one record per frame");
        }
        assert!(self.world.slots_used().iter().all(|(_, slots)| *slots == 0));
        let tasks = self.info.tasks.len() as u64;
        for (k, &frames) in self.frames.iter().enumerate() {
            let s = self.edge(k + 1);
            assert_eq!((s.slots, s.frames_detected), (0, u64::from(frames)));
            let by_node: u64 = s.tasks_by_node.values().sum();
            assert_eq!(by_node, tasks * u64::from(frames));
        }
        let d = self.drained();
        assert_eq!((d.alive, d.frames), (self.frames.len(), 0));
        let sources = self.frames.iter().filter(|&&n| n > 0).count();
        assert_eq!((d.sources, d.finished), (sources, self.frames.len()));
    }

    fn sum(&self, f: impl Fn(&EdgeStats) -> u64) -> u64 {
        (1..=self.frames.len()).map(|k| f(self.edge(k))).sum()
    }
}

#[test]
fn a_source_alone_finishes_its_frames() {
    let mut c = Cluster::new(&[3]);
    c.check();
    assert_eq!(c.sum(|s| s.steals_taken), 0);
    // Nobody has work: a node without any does not keep asking.
    assert!(c.sum(|s| s.hints_asked) < 10);
}

#[test]
fn thieves_share_the_work_of_two_stages() {
    let mut c = Cluster::new(&[5, 0, 0]);
    c.check();
    let s = c.edge(1);
    assert!(s.tasks_by_node.len() == 3, "{:?}", s.tasks_by_node);
    assert!(c.sum(|s| s.steals_taken) > 10);
    assert_eq!(s.leases_issued, c.sum(|s| s.steals_taken));
    // Nothing was lost, so nothing was sent or done twice.
    assert_eq!(c.sum(|s| s.transfer.chunks_rerequested), 0);
    assert_eq!(
        c.sum(|s| s.leases_expired + s.tasks_reissued + s.tasks_unmade),
        0
    );
    assert_eq!(s.traffic.rejected.total(), 0);
}

#[test]
fn sources_steal_from_each_other() {
    let mut c = Cluster::new(&[6, 1]);
    c.check();
    assert!(c.edge(2).tasks_stolen > 0);
}

#[test]
fn loss_duplication_and_reordering_change_no_bit() {
    let (mut stolen, mut rerequested) = (0, 0);
    for seed in 0..12 {
        let mut c = Cluster::changed(&[3, 0, 2], |w| {
            w.seed = seed;
            w.net.conditions = LinkConditions {
                loss_ppm: 100_000,
                duplicate_ppm: 50_000,
                jitter_us: 4_000,
                ..LinkConditions::default()
            };
        });
        c.check();
        stolen += c.sum(|s| s.tasks_stolen);
        rerequested += c.sum(|s| s.transfer.chunks_rerequested);
        rerequested += c.gateway().transfer.chunks_rerequested;
    }
    assert!(stolen > 0 && rerequested > 0);
}

#[test]
fn stop_ends_every_node() {
    let mut c = Cluster::new(&[1, 0]);
    c.check();
    c.world.stop().expect("no broken rule");
    c.run_until(|c| c.drained().alive == 0);
    assert_eq!(c.world.edges_stopped(), 2);
}

#[test]
fn a_node_that_leaves_is_not_waited_for() {
    let mut c = Cluster::new(&[1, 0]);
    c.check();
    assert!(c.world.joined(2));
    c.world.leave(2).expect("no broken rule");
    // Much sooner than silence would tell.
    c.run_us(100_000);
    assert_eq!(c.drained().alive, 1);
    assert_eq!([c.world.joined(1), c.world.joined(2)], [true, false]);
}

/// A datagram as a stranger would make it.
/// A source looks for the second board of its plan, which comes later, as long as it has frames.
#[test]
fn a_board_that_joins_is_told_to_sources_that_look_for_it() {
    let late_us = 30_000;
    let mut c = Cluster::changed(&[1, 0], |world| {
        let mut info = ProgramInfo::clone(&world.info);
        (info.placement, info.boards) = (Placement::Home, 2);
        let half = info.graph.tasks.iter_mut().step_by(2);
        half.for_each(|t| t.home = 1);
        world.info = Arc::new(info);
        world.edges[1].start_us = late_us;
    });
    // Sooner than the source's next heartbeat, and than a board counts as missing.
    c.run_us(late_us + 50_000);
    assert!(c.edge(2).steals_taken > 0, "it computes");
    c.check();
}

fn forged(info: &ProgramInfo, to: Incarnation, message: Message<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let envelope = Envelope {
        from: NodeId(77),
        incarnation: Incarnation(1),
        to_incarnation: Some(to),
        plan: plan_prefix(info),
    };
    message.encode(envelope, &mut out);
    out
}

#[test]
fn malformed_and_unasked_datagrams_are_counted() {
    let mut c = Cluster::new(&[2, 0]);
    c.run_until(|c| c.world.drained().is_some_and(|d| d.alive == 2));
    let info = Arc::clone(&c.info);
    let incarnation = |c: &Cluster, node| c.world.incarnation(node).expect("a living node");
    let (gateway, edge) = (incarnation(&c, 0), incarnation(&c, 1));
    let another = |of: Incarnation| Incarnation(of.0 ^ 2);
    let asks = Message::StealGateway { seq: 1 };
    let mut wrong_sum = forged(&info, gateway, asks);
    wrong_sum[33] ^= 1;
    let from = SocketAddr::from(([127, 0, 0, 1], 77));
    let mut inject = |node, bytes: &[u8]| {
        c.world.inject(node, from, bytes).expect("no broken rule");
    };
    inject(0, b"hello");
    inject(0, &wrong_sum);
    inject(0, &forged(&info, gateway, asks));
    inject(0, &forged(&info, another(gateway), asks));
    let unasked = Message::NoWork {
        request: RequestId(999),
    };
    inject(1, &forged(&info, edge, unasked));
    let steals = Message::StealClient {
        request: RequestId(1),
    };
    inject(1, &forged(&info, another(edge), steals));
    inject(1, &[]);
    c.check();
    let count = |t: &Traffic, why| t.rejected.get(why);
    let g = &c.gateway().traffic;
    assert_eq!(count(g, Reject::Length), 1);
    assert_eq!(count(g, Reject::Sum), 1);
    assert_eq!(count(g, Reject::Stranger), 1);
    assert_eq!(count(g, Reject::OtherIncarnation), 1);
    let e = &c.edge(1).traffic;
    assert_eq!(count(e, Reject::Length), 1);
    assert_eq!(count(e, Reject::Unexpected), 1);
    assert_eq!(count(e, Reject::OtherIncarnation), 1);
    let sent = e.sent.get(MessageKind::Heartbeat);
    assert!(sent.datagrams > 0 && e.received.get(MessageKind::State).bytes > 0);
    let json = serde_json::to_value(c.edge(1)).expect("plain data");
    assert_eq!(json["traffic"]["rejected"]["length"], 1);
    assert!(json["tasks_by_node"]["1"].as_u64() > Some(0));
}

#[test]
fn nodes_that_do_not_belong_are_told_why() {
    let mut c = Cluster::changed(&[0, 0, 0, 0], |w| {
        w.edges[0].stranger = Some(Stranger::Plan);
        w.edges[1].stranger = Some(Stranger::Model);
        // Edge 4 has edge 3's id and starts later: the id stays edge 3's.
        w.edges[3].stranger = Some(Stranger::Twin { of: 3 });
        w.edges[3].start_us = 50_000;
    });
    c.run_us(5_200_000);
    assert_eq!(c.drained().alive, 1);
    let expected = [
        (1, Refusal::Plan),
        (2, Refusal::Model),
        (4, Refusal::IdInUse),
    ];
    assert_eq!(c.world.refusals(), expected);
    // They ask again, but seldom.
    for node in [1, 2] {
        let heartbeats = c.edge(node).traffic.sent.get(MessageKind::Heartbeat);
        assert!((2..12).contains(&heartbeats.datagrams));
    }
    assert_eq!(c.gateway().traffic.rejected.total(), 0);
}

#[test]
fn of_two_with_one_id_the_one_that_stays_takes_part() {
    let mut c = Cluster::changed(&[0, 0], |w| {
        w.edges[1].stranger = Some(Stranger::Twin { of: 1 });
        w.edges[1].start_us = 50_000;
    });
    c.run_us(8_000_000);
    assert_eq!([c.world.joined(1), c.world.joined(2)], [true, false]);
    assert_eq!(c.world.refusals(), [(2, Refusal::IdInUse)]);
    // Everybody concerned says so, once.
    let node = NodeId(1);
    let addr = c.world.address(2);
    let told = |c: &Cluster, at: usize, what: fn(&Notice) -> bool| {
        c.world.notices(at).iter().filter(|n| what(n)).count()
    };
    let refused = |n: &&Notice| {
        matches!(n, Notice::Refused { node: id, addr: at, why: Refusal::IdInUse, .. }
            if (*id, *at) == (node, addr))
    };
    assert_eq!(c.world.notices(0).iter().filter(refused).count(), 1);
    assert_eq!(told(&c, 1, |n| matches!(n, Notice::IdContested { .. })), 1);
    let turned_away = |n: &Notice| {
        let in_use = Refusal::IdInUse;
        matches!(n, Notice::TurnedAway { why, .. } if *why == in_use)
    };
    assert_eq!(told(&c, 2, turned_away), 1);
    // The first one goes: the other is taken in, and the first one's next process is not.
    c.world
        .schedule(c.world.now_us() + 1, Fault::Leave { node: 1 });
    c.run_us(4_000_000);
    assert!(c.world.joined(2));
    assert_eq!(c.world.refusals(), []);
    let (node, moved) = (1, true);
    c.world
        .schedule(c.world.now_us() + 1, Fault::Start { node, moved });
    c.run_us(8_000_000);
    assert_eq!([c.world.joined(1), c.world.joined(2)], [false, true]);
    c.world
        .schedule(c.world.now_us() + 1, Fault::Crash { node: 2 });
    c.run_us(4_000_000);
    assert!(c.world.joined(1));
}

#[test]
fn another_plan_is_named_on_both_sides() {
    let mut c = Cluster::changed(&[0, 0], |w| w.edges[1].stranger = Some(Stranger::Plan));
    // For an hour: the gateway speaks of it seldom.
    c.run_us(3_600_000_000);
    let hash = |c: &Cluster, of: usize| {
        let at = |n: &Notice| match *n {
            Notice::TurnedAway {
                own_plan,
                gateway_plan,
                why: Refusal::Plan,
            } => Some((own_plan.to_string(), gateway_plan.to_string())),
            Notice::Refused {
                plan,
                why: Refusal::Plan,
                node: NodeId(2),
                ..
            } => Some((plan.to_string(), String::new())),
            _ => None,
        };
        c.world
            .notices(of)
            .iter()
            .filter_map(at)
            .collect::<Vec<_>>()
    };
    let (theirs, ours) = ("06070707".to_owned(), "07070707".to_owned());
    assert_eq!(hash(&c, 2), [(theirs.clone(), ours)]);
    let said = hash(&c, 0);
    assert!((2..8).contains(&said.len()), "{said:?}");
    assert!(said.iter().all(|s| s.0 == theirs));
}

#[test]
fn another_process_of_the_gateway_is_told_of_once() {
    let mut c = Cluster::new(&[0]);
    c.run_us(1_000_000);
    let now_us = c.world.now_us();
    c.world.schedule(now_us + 1, Fault::Crash { node: 0 });
    let start = Fault::Start {
        node: 0,
        moved: false,
    };
    c.world.schedule(now_us + 20_000_000, start);
    c.run_us(30_000_000);
    assert!(c.world.joined(1));
    assert_eq!(c.world.notices(1), [Notice::GatewayRestarted]);
}

#[test]
fn gateway_takes_no_more_frames_than_it_has_room_for() {
    // The world gives the gateway slots for as many frames as it is configured for.
    let mut c = Cluster::changed(&[4, 4, 4], |w| {
        w.gateway.config.frames_max = 1;
        w.gateway.config.pulls_max = 1;
    });
    c.check();
    assert_eq!(c.gateway().slots_peak, 2);
}

#[test]
fn slots_are_for_own_frames_first() {
    let mut c = Cluster::changed(&[3, 3], |w| {
        for e in &mut w.edges {
            e.steal_frames = 0;
        }
    });
    let gateway = SocketAddr::from(([127, 0, 0, 1], 1));
    let config = EdgeConfig::new(NodeId(1), Incarnation(5), gateway, 1);
    let slots = config.slots(&c.info, 0);
    let enough: usize = slots.iter().map(|s| s.count).sum();
    c.check();
    for node in [1, 2] {
        assert!(c.edge(node).slots_peak as usize <= enough);
    }
}

/// What the gateway knows of boards, by node, in hundredths of a degree.
fn temperatures(c: &Cluster) -> Vec<(u16, Option<i16>)> {
    let all = c.world.conditions();
    all.iter()
        .map(|(node, known)| (node.0, known.said.temperature_centi_c))
        .collect()
}

const fn warm(temperature_centi_c: i16) -> Condition {
    Condition {
        temperature_centi_c: Some(temperature_centi_c),
        throttled: None,
        memory_available_mib: None,
        memory_mib: None,
        busy_permille: None,
        signal_dbm: None,
    }
}

#[test]
fn the_gateway_knows_how_boards_are() {
    let mut c = Cluster::new(&[0, 0]);
    c.run_until(|c| c.world.drained().is_some_and(|d| d.alive == 2));
    assert_eq!(temperatures(&c), [], "nobody has said anything");
    let tell = |c: &mut Cluster, node, t| {
        let told = c.world.set_condition(node, warm(t));
        told.expect("no broken rule");
    };
    tell(&mut c, 2, 5_000);
    c.run_us(1_000_000);
    assert_eq!(temperatures(&c), [(2, Some(5_000))]);
    tell(&mut c, 2, 8_100);
    c.run_us(20_000_000);
    assert_eq!(temperatures(&c), [(2, Some(8_100))]);
    // The gateway's next process hears it again.
    let now_us = c.world.now_us();
    c.world.schedule(now_us + 1, Fault::Crash { node: 0 });
    let start = Fault::Start {
        node: 0,
        moved: false,
    };
    c.world.schedule(now_us + 100_000, start);
    c.run_us(5_000_000);
    assert_eq!(temperatures(&c), [(2, Some(8_100))]);
    let age_us = c.world.conditions()[0].1.age_us;
    assert!(age_us <= 5_000_000, "{age_us}");
    assert_eq!(
        c.edge(2).traffic.sent.get(MessageKind::Condition).datagrams,
        3
    );
}

#[test]
fn only_a_nodes_own_process_says_how_its_board_is() {
    let mut c = Cluster::new(&[0]);
    c.run_until(|c| c.world.drained().is_some_and(|d| d.alive == 1));
    let info = Arc::clone(&c.info);
    let gateway = c.world.incarnation(0).expect("a living gateway");
    let edge = c.world.incarnation(1).expect("a living edge");
    let from = c.world.address(1);
    let mut say = |from_node, incarnation, seq, t| {
        let envelope = Envelope {
            from: NodeId(from_node),
            incarnation,
            to_incarnation: Some(gateway),
            plan: plan_prefix(&info),
        };
        let mut out = Vec::new();
        let condition = warm(t);
        Message::Condition { seq, condition }.encode(envelope, &mut out);
        c.world.inject(0, from, &out).expect("no broken rule");
    };
    say(7, edge, 1, 1_000);
    say(1, Incarnation(edge.0 + 1), 1, 2_000);
    say(1, edge, 6, 3_000);
    // A late one, and the same once more.
    say(1, edge, 5, 4_000);
    say(1, edge, 6, 5_000);
    assert_eq!(temperatures(&c), [(1, Some(3_000))]);
    let rejected = &c.gateway().traffic.rejected;
    assert_eq!(rejected.get(Reject::Stranger), 1);
    assert_eq!(rejected.get(Reject::Stale), 3);
}
