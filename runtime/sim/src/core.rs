//! What all nodes of a world share: events to come, the network, the ledger.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use super::{
    datagram::Datagram,
    fault::Fault,
    hostile::HostileTraffic,
    ledger::Ledger,
    link::Network,
    oracle::Oracle,
    queue::Queue,
    random::RandomSource,
    violation::{Failure, Violation},
};
use tessera_protocol::{
    FrameId, Incarnation, JobId, NodeId, ProgramInfo, TaskId, TransferConfig,
    wire::{self, Message},
};

/// Something that happens.
#[derive(Debug)]
pub(super) enum Event {
    /// A datagram reaches the queue before its receiver's link.
    Port(Datagram),
    /// A datagram reaches its receiver.
    Deliver(Datagram),
    /// A timer went off.
    Tick {
        node: usize,
        incarnation: Incarnation,
    },
    /// A worker is through with a job, or died in it.
    JobEnd {
        node: usize,
        incarnation: Incarnation,
        job: JobId,
        lost: bool,
    },
    /// A source may have its next frame ready.
    Offer {
        node: usize,
        incarnation: Incarnation,
    },
    /// A tail ended.
    TailEnd {
        incarnation: Incarnation,
        frame: FrameId,
        failed: bool,
    },
    /// A node that stood still goes on.
    Resume {
        node: usize,
        incarnation: Incarnation,
    },
    /// Something breaks or is repaired.
    Fault(Fault),
    /// A malformed datagram is due.
    Hostile,
}

/// What jobs and frames came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Jobs that workers began.
    pub jobs: u64,
    /// Of them, other nodes' tasks.
    pub stolen: u64,
    /// Jobs lost by workers.
    pub lost_jobs: u64,
    /// Frames that a source could not place though its machine wanted one.
    pub unplaced: u64,
    /// Malformed and replayed datagrams delivered.
    pub hostile: u64,
    /// Datagrams to addresses where nobody listens.
    pub unreachable: u64,
    /// Datagrams dropped by the socket of a node that stood still.
    pub socket_full: u64,
    /// Inputs given to machines.
    pub inputs: u64,
}

impl Counters {
    /// Adds another world's.
    pub const fn add(&mut self, o: &Self) {
        self.jobs += o.jobs;
        self.stolen += o.stolen;
        self.lost_jobs += o.lost_jobs;
        self.unplaced += o.unplaced;
        self.hostile += o.hostile;
        self.unreachable += o.unreachable;
        self.socket_full += o.socket_full;
        self.inputs += o.inputs;
    }
}

/// When a worker ran a job to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobSpan {
    /// Of which edge, from 1.
    pub node: usize,
    /// The task's frame.
    pub frame: FrameId,
    /// The task.
    pub task: TaskId,
    /// Virtual time at which the worker began.
    pub start_us: u64,
    /// Virtual time at which it was through.
    pub end_us: u64,
}

/// What all nodes share.
#[derive(Debug)]
pub(super) struct Core {
    pub queue: Queue<Event>,
    pub net: Network,
    pub info: Arc<ProgramInfo>,
    pub ledger: Ledger,
    pub oracle: Oracle,
    pub random: RandomSource,
    pub hostile: HostileTraffic,
    pub counters: Counters,
    pub trace: bool,
    /// See [`super::WorldConfig::task_us`].
    pub task_us: Vec<Vec<u64>>,
    /// Jobs that ran to their end, when they are recorded.
    pub job_spans: Option<Vec<JobSpan>>,
    /// A task that no worker survives.
    pub broken: Option<TaskId>,
    /// Who listens where.
    pub addresses: BTreeMap<SocketAddr, usize>,
}

impl Core {
    /// Wraps a broken rule with the time.
    pub const fn fail(&self, what: Violation) -> Failure {
        Failure {
            at_us: self.queue.now_us(),
            what,
        }
    }

    /// Says what happens, when asked to.
    pub fn trace(&self, text: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{:>10} {}", self.queue.now_us(), text());
        }
    }

    /// A node sends a datagram.
    pub fn send(
        &mut self,
        node: usize,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), Failure> {
        if bytes.is_empty() || bytes.len() > TransferConfig::DATAGRAM_BYTES_MAX {
            let node = NodeId(node as u16);
            let bytes = bytes.len();
            return Err(self.fail(Violation::Datagram { node, bytes }));
        }
        let datagram = Datagram {
            from,
            to,
            bytes: bytes.into(),
        };
        self.hostile.saw(&datagram);
        let Some(&target) = self.addresses.get(&to) else {
            self.counters.unreachable += 1;
            return Ok(());
        };
        let now_us = self.queue.now_us();
        let arrivals = self.net.send(now_us, node, target, bytes.len());
        self.trace(|| {
            format!(
                "{node} -> {target} {:?} {}",
                arrivals,
                describe(bytes, &self.info)
            )
        });
        for at_us in arrivals.into_iter().flatten() {
            self.queue.push(at_us, Event::Port(datagram.clone()));
        }
        Ok(())
    }
}

/// A datagram for people.
fn describe(bytes: &[u8], info: &ProgramInfo) -> String {
    match wire::parse(bytes, info) {
        Ok((_, Message::Data(d))) => format!("Data of pull {} at {}", d.pull.0, d.offset),
        Ok((_, message)) => format!("{message:?}"),
        Err(e) => format!("{} bytes, {e:?}", bytes.len()),
    }
}
