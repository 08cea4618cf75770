//! Standing requests: what this node has room for, told to the sources that it knows.
//!
//! A want sets request numbers aside, one for each task that there is room for; the source's leases use them up.
//! When there is more room than was told, or this node has become idle, a new want takes the place of the old one.
//! A want is repeated until the source answers, and from time to time while there is room: a source that does not
//! answer is forgotten, and tells of itself again.

use std::collections::{BTreeMap, VecDeque};

use super::{Edge, placement::anywhere::has_whole_frames, send::Outgoing};
use crate::{
    Micros, NodeIncarnation, RequestId,
    peer::Peer,
    retry::Retry,
    wire::{Envelope, Message, MessageKind, RequestField, Want},
};

/// Sources that this node knows.
#[derive(Debug, Default)]
pub struct Wants {
    sources: BTreeMap<NodeIncarnation, Told>,
    /// Numbers of the latest leases that came: a second copy of a lease is noticed.
    taken: VecDeque<(NodeIncarnation, RequestId)>,
    /// Before this time this node has no room, whatever the number of its jobs.
    rests_until_us: Micros,
    /// Before this time this node has less room: there were no slots for a task whose inputs are not made.
    fewer_until_us: Micros,
}

/// What a source was told.
#[derive(Debug)]
struct Told {
    peer: Peer,
    /// Number of the latest want; `None` before the first.
    request: Option<RequestId>,
    /// Room that the source knows of.
    room: u8,
    /// True when the source knows that this node has nothing to do.
    idle: bool,
    again: Retry,
    /// Pause after the next answer, in microseconds.
    rest_us: u64,
    /// Number of wants since the latest answer.
    tries: u8,
}

impl Wants {
    /// Most sources that this node waits for at a time.
    const SOURCES_MAX: usize = 64;
    /// Most numbers of leases remembered.
    const TAKEN_MAX: usize = 256;
    /// Most wants without an answer.
    const TRIES_MAX: u8 = 8;
    /// First and longest pause between two wants of the same content after an answer, in microseconds.
    const AGAIN_US: [u64; 2] = [320_000, 5_000_000];

    /// Notes an answer to a want; false when the sender was not told of this number.
    pub fn heard(&mut self, now_us: Micros, envelope: &Envelope, request: RequestId) -> bool {
        let who = NodeIncarnation {
            id: envelope.from,
            incarnation: envelope.incarnation,
        };
        let told = self.sources.get_mut(&who);
        let Some(told) = told.filter(|t| t.request == Some(request)) else {
            return false;
        };
        told.answered(now_us);
        true
    }

    /// Notes a lease of a source; false for a second copy.
    pub fn got(&mut self, now_us: Micros, source: Peer, request: RequestId) -> bool {
        let entry = (source.who(), request);
        if self.taken.contains(&entry) {
            return false;
        }
        if self.taken.len() == Self::TAKEN_MAX {
            self.taken.pop_front();
        }
        self.taken.push_back(entry);
        if let Some(told) = self.sources.get_mut(&source.who()) {
            told.answered(now_us);
            told.room = told.room.saturating_sub(1);
            told.idle = false;
        }
        true
    }

    /// Number of sources that this node waits for.
    pub fn sources(&self) -> usize {
        self.sources.len()
    }

    /// Has no room until then.
    pub fn rest(&mut self, until_us: Micros) {
        self.rests_until_us = until_us;
    }

    /// Has no room for tasks whose inputs are not made until then.
    pub fn rest_early(&mut self, until_us: Micros) {
        self.fewer_until_us = until_us;
    }

    /// When a want is due.
    pub fn next(&self, now_us: Micros) -> Option<Micros> {
        let repeats = (self.sources.values())
            .filter(|t| t.room > 0)
            .map(|t| t.again.at_us);
        let rests = [self.rests_until_us, self.fewer_until_us].into_iter();
        let rested = rests.filter(|at| *at > now_us && !self.sources.is_empty());
        repeats.chain(rested).min()
    }
}

impl Told {
    fn answered(&mut self, now_us: Micros) {
        if self.tries > 0 {
            self.tries = 0;
            self.again = Retry::after(now_us, self.rest_us, Wants::AGAIN_US[1]);
            self.rest_us = (2 * self.rest_us).min(Wants::AGAIN_US[1]);
        }
    }
}

impl Edge {
    /// Notes that a node brings frames: this node waits for its tasks.
    pub(super) fn learn_source(&mut self, now_us: Micros, peer: Peer) {
        if !self.policy().waits() || peer.id == self.config.id {
            return;
        }
        if let Some(told) = self.wants.sources.get_mut(&peer.who()) {
            told.peer.addr = peer.addr;
            // It asks since it does not know what it was told.
            told.again = Retry::now(now_us, self.config.retry_us[0]);
            told.tries = 0;
            return;
        }
        if self.wants.sources.len() >= Wants::SOURCES_MAX {
            return;
        }
        let told = Told {
            peer,
            request: None,
            room: 0,
            idle: false,
            again: Retry::now(now_us, self.config.retry_us[0]),
            rest_us: Wants::AGAIN_US[0],
            tries: 0,
        };
        self.wants.sources.insert(peer.who(), told);
    }

    /// Number of further tasks that this node has room for.
    fn room(&self, now_us: Micros) -> u8 {
        let full = self.slots.foreign_bytes() >= self.config.foreign_bytes_max;
        if !self.link.joined() || full || now_us < self.wants.rests_until_us {
            return 0;
        }
        let fewer = usize::from(now_us < self.wants.fewer_until_us);
        let room = (self.config.jobs_max).saturating_sub(self.jobs.len() + fewer);
        u8::try_from(room).map_or(Want::ROOM_MAX, |r| r.min(Want::ROOM_MAX))
    }

    /// Tells sources of room that they do not know of, for the first time or again.
    pub(super) fn tell_wants(&mut self, now_us: Micros) {
        if self.wants.sources.is_empty() {
            return;
        }
        let (room, idle) = (self.room(now_us), self.jobs.active() == 0);
        let most = self.config.retry_us[1];
        let mut due = Vec::new();
        let whole = has_whole_frames(&self.info);
        let (request, first) = (&mut self.search.request, self.config.retry_us[0]);
        self.wants.sources.retain(|who, told| {
            let never = told.request.is_none();
            let rests = idle && !told.idle && room > 0;
            // A board that was idle and computes now may be told early of what it computes next.
            let computes = told.idle && !idle && room > 1;
            // Sources give whole frames to boards that are free: they are told of tasks that others bring.
            let busier = whole && room < told.room;
            if never || busier || room > told.room || rests || computes {
                request.0 += 1;
                told.request = Some(*request);
                // The numbers behind it are set aside for the leases.
                request.0 += u32::from(room);
                (told.room, told.idle) = (room, idle);
                (told.tries, told.rest_us) = (1, Wants::AGAIN_US[0]);
                told.again = Retry::after(now_us, first, most);
                due.push(*who);
            } else if told.room > 0 && told.again.is_due(now_us) {
                told.tries += 1;
                if told.tries > Wants::TRIES_MAX {
                    return false;
                }
                told.room = told.room.min(room);
                told.again = told.again.repeat(now_us, most);
                due.push(*who);
            }
            true
        });
        for to in due {
            self.enqueue(Outgoing::Want { to });
        }
    }

    /// Writes a want; `None` when the source was forgotten.
    pub(super) fn write_want(&mut self, to: NodeIncarnation) -> Option<(crate::To, MessageKind)> {
        let told = self.wants.sources.get(&to)?;
        let (peer, request) = (told.peer, told.request?);
        let (room, idle) = (told.room, told.idle);
        let jobs = (self.jobs.iter())
            .filter_map(|(_, j)| j.stolen.filter(|s| s.owner.who() == to))
            .map(|s| s.request);
        // What this board has ended takes no room, though its source may hear of the end only after this. Where several sources
        // fill the same room, each has one task fewer until it has heard.
        let alone = self.wants.sources.len() < 2;
        let ended = (self.reports.owed.iter())
            .filter(|(_, r)| alone && r.owner.who() == to)
            .map(|(request, _)| *request);
        let held: Vec<RequestField> = jobs
            .chain(ended)
            .take(Want::HELD_MAX)
            .map(RequestField::from)
            .collect();
        let want = Want {
            request,
            room,
            idle,
            held: &held,
        };
        self.write_to(&Message::Want(want), peer)
    }
}
