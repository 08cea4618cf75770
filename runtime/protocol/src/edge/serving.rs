//! Objects that other nodes fetch from this one, finished or still being made.

use std::net::SocketAddr;

use super::{
    Edge, find, foreign_frames::ForeignFrames, own_frames::OwnFrames, pending_job::PendingJobs,
    send::Outgoing,
};
use crate::{
    FrameNumber, Micros, NodeIncarnation, ObjectId, ProgramInfo, To,
    chunk_server::{Answer, Held, Place},
    peer::Peer,
    store::Store,
    wire::{Envelope, NO_RUN, Request},
};

/// The parts of an edge that tell how it has an object.
struct Objects<'a> {
    me: NodeIncarnation,
    frames: &'a OwnFrames,
    foreign: &'a ForeignFrames,
    jobs: &'a PendingJobs,
    info: &'a ProgramInfo,
}

impl Objects<'_> {
    fn held(&self, object: &ObjectId) -> Option<Held> {
        let frame = object.frame;
        let mine = (frame.source, frame.incarnation) == (self.me.id, self.me.incarnation);
        let own = mine.then_some(frame.number);
        if let Some((slot, region)) = find(self.frames, self.foreign, self.info, own, object) {
            let run = self.run(own, object).unwrap_or(NO_RUN);
            return Some(Held::Here(Place { slot, region, run }));
        }
        let (id, job, slot) = self.jobs.making_object(self.info, frame, object.key)?;
        if !job.counts() {
            return Some(Held::Coming);
        }
        let (region, run) = (self.info.region(object.key)?, id.run());
        Some(Held::Making(Place { slot, region, run }))
    }

    fn run(&self, own: Option<FrameNumber>, object: &ObjectId) -> Option<u32> {
        let task = object.key.task()?;
        let runs = match own {
            Some(number) => &self.frames.live(number)?.runs,
            None => &self.foreign.get(object.frame)?.runs,
        };
        runs.get(&task).copied()
    }
}

impl Edge {
    /// Microseconds between two looks at outputs that are being made and that others wait for.
    pub(super) const MADE_US: Micros = 4_000;

    fn objects(&self) -> Objects<'_> {
        Objects {
            me: self.me.who(),
            frames: &self.frames,
            foreign: &self.foreign,
            jobs: &self.jobs,
            info: &self.info,
        }
    }

    pub(super) fn on_request(
        &mut self,
        now_us: Micros,
        addr: SocketAddr,
        envelope: &Envelope,
        request: &Request<'_>,
        store: &impl Store,
    ) {
        let to = Peer {
            id: envelope.from,
            incarnation: envelope.incarnation,
            addr,
        };
        let for_me = envelope.to_incarnation == Some(self.me.incarnation);
        let held = for_me
            .then(|| self.objects().held(&request.object))
            .flatten();
        self.serve.fetches = self.receiver.fetches();
        let transfer = &mut self.stats.transfer;
        let answer = self.serve.request(to, request, held, store, transfer);
        if let Some(answer) = answer {
            self.answer(to, answer);
        }
        if matches!(held, Some(Held::Making(_))) {
            self.next_made_us.get_or_insert(now_us + Self::MADE_US);
        }
    }

    fn answer(&mut self, to: Peer, answer: Answer) {
        self.enqueue(match answer {
            Answer::Later(later) => Outgoing::Later { to, later },
            Answer::Absent(pull) => Outgoing::Absent { to, pull },
        });
    }

    pub(super) fn serve_next(&mut self, store: &impl Store) -> Option<To> {
        let objects = Objects {
            me: self.me.who(),
            frames: &self.frames,
            foreign: &self.foreign,
            jobs: &self.jobs,
            info: &self.info,
        };
        let (transfer, out) = (&mut self.stats.transfer, &mut self.out);
        let to = (self.serve).poll(self.me, |o, _| objects.held(o), store, transfer, out)?;
        Some(to.to())
    }

    /// Queues what other nodes asked for before it was made.
    pub(super) fn serve_made(&mut self, store: &impl Store) {
        self.next_made_us = None;
        if !self.serve.waits() {
            return;
        }
        let mut serve = std::mem::take(&mut self.serve);
        serve.fetches = self.receiver.fetches();
        let objects = self.objects();
        let (answers, grows) = serve.made(|o| objects.held(o), store);
        self.serve = serve;
        for (to, answer) in answers {
            self.answer(to, answer);
        }
        let now_us = self.clock.unwrap_or(0);
        self.next_made_us = grows.then_some(now_us + Self::MADE_US);
    }
}
