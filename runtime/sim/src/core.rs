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
    transfers::Transfers,
    violation::{Failure, Violation},
};
use tessera_protocol::{
    FrameId, Incarnation, JobId, NodeId, ProgramInfo, TaskId, TransferConfig,
    wire::{self, Message},
};

/// An event: something that happens at one virtual time.
#[derive(Debug)]
pub(super) enum Event {
    /// A datagram joins the queue before its receiver's link.
    Port(Datagram),
    /// A datagram reaches its receiver.
    Deliver(Datagram),
    /// A node's timer goes off.
    Tick {
        node: usize,
        incarnation: Incarnation,
    },
    /// A worker finishes a job, or dies while it runs the job.
    JobEnd {
        node: usize,
        incarnation: Incarnation,
        job: JobId,
        lost: bool,
    },
    /// A source offers its next frame, if the frame is ready.
    Offer {
        node: usize,
        incarnation: Incarnation,
    },
    /// The gateway finishes the tail of a frame.
    TailEnd {
        incarnation: Incarnation,
        frame: FrameId,
        failed: bool,
    },
    /// A node that stood still resumes.
    Resume {
        node: usize,
        incarnation: Incarnation,
    },
    /// A fault begins or is repaired.
    Fault(Fault),
    /// A malformed datagram is due.
    Hostile,
}

/// Totals over a world: jobs, frames, datagrams and inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Jobs that workers have begun.
    pub jobs: u64,
    /// Jobs among [`Self::jobs`] that are tasks stolen from another node.
    pub stolen: u64,
    /// Jobs among [`Self::jobs`] that are tasks in the place of others.
    pub stand_ins: u64,
    /// Jobs that were begun before their inputs were complete.
    pub streamed: u64,
    /// Jobs among them whose inputs did not come.
    pub abandoned: u64,
    /// Jobs that ended with the death of their worker.
    pub lost_jobs: u64,
    /// Jobs whose outputs were made wrong on purpose.
    pub wrong_jobs: u64,
    /// Frames that a source had no slot for, though its machine asked for a frame.
    pub unplaced: u64,
    /// Malformed and replayed datagrams that reached a node.
    pub hostile: u64,
    /// Datagrams to addresses where nobody listens.
    pub unreachable: u64,
    /// Datagrams that a paused node's full socket dropped.
    pub socket_full: u64,
    /// Frames that the gateway fetched whole.
    pub pictures: u64,
    /// Inputs given to all machines.
    pub inputs: u64,
}

impl Counters {
    /// Adds the counters of another world.
    pub const fn add(&mut self, o: &Self) {
        self.jobs += o.jobs;
        self.stolen += o.stolen;
        self.stand_ins += o.stand_ins;
        self.streamed += o.streamed;
        self.abandoned += o.abandoned;
        self.lost_jobs += o.lost_jobs;
        self.wrong_jobs += o.wrong_jobs;
        self.unplaced += o.unplaced;
        self.hostile += o.hostile;
        self.unreachable += o.unreachable;
        self.socket_full += o.socket_full;
        self.pictures += o.pictures;
        self.inputs += o.inputs;
    }
}

/// The virtual time span in which a worker ran a job to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobSpan {
    /// Index of the edge, from 1.
    pub node: usize,
    /// The frame that the task belongs to.
    pub frame: FrameId,
    /// The task that the job ran.
    pub task: TaskId,
    /// Virtual time at which the worker began the job, in microseconds.
    pub start_us: u64,
    /// Virtual time at which the worker finished the job, in microseconds.
    pub end_us: u64,
}

/// State that all nodes share.
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
    pub task_us: Vec<Arc<[u64]>>,
    /// Jobs that ran to their end; `None` unless the world records jobs.
    pub job_spans: Option<Vec<JobSpan>>,
    /// What travelled; `None` unless the world records transfers.
    pub transfers: Option<Transfers>,
    /// See [`super::WorldConfig::values`].
    pub values: bool,
    /// See [`super::WorldConfig::sealed`].
    pub sealed: bool,
    /// A task that kills every worker that runs the task.
    pub broken: Option<TaskId>,
    /// Index of the node that listens on each address.
    pub addresses: BTreeMap<SocketAddr, usize>,
}

impl Core {
    /// Adds the current virtual time to a broken rule.
    pub const fn fail(&self, what: Violation) -> Failure {
        Failure {
            at_us: self.queue.now_us(),
            what,
        }
    }

    /// Prints an event, if the world traces events.
    pub fn trace(&self, text: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{:>10} {}", self.queue.now_us(), text());
        }
    }

    /// Sends a datagram from a node.
    pub fn send(
        &mut self,
        node: usize,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), Failure> {
        let most = TransferConfig::DATAGRAM_BYTES_MAX
            + if self.sealed {
                TransferConfig::SESSION_BYTES
            } else {
                0
            };
        if bytes.is_empty() || bytes.len() > most {
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
        if let Some(transfers) = &mut self.transfers {
            let times_us = [now_us, arrivals[0].unwrap_or(now_us)];
            transfers.sent(&self.info, [node, target], times_us, bytes);
        }
        for at_us in arrivals.into_iter().flatten() {
            self.queue.push(at_us, Event::Port(datagram.clone()));
        }
        Ok(())
    }
}

/// Describes a datagram for a trace.
fn describe(bytes: &[u8], info: &ProgramInfo) -> String {
    match wire::parse(bytes, info) {
        Ok((_, Message::Data(d))) => format!("Data of pull {} at {}", d.pull.0, d.offset),
        Ok((_, message)) => format!("{message:?}"),
        Err(e) => format!("{} bytes, {e:?}", bytes.len()),
    }
}
