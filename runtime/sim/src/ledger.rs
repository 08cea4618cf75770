//! The ledger of all frames, which checks the outcome of every frame.

use std::collections::BTreeMap;

use super::{
    frame_record::{FrameRecord, Tail},
    violation::Violation,
};
use tessera_protocol::{DropReason, FrameId, FrameMeta, FrameOutcome, Incarnation, NodeId, TaskId};

/// All frames ever accepted.
#[derive(Debug, Default)]
pub struct Ledger {
    frames: BTreeMap<FrameId, FrameRecord>,
    waiting: usize,
}

impl Ledger {
    /// All frames, by id.
    pub const fn frames(&self) -> &BTreeMap<FrameId, FrameRecord> {
        &self.frames
    }

    /// Number of frames that a live source waits for.
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    /// Notes that a source handed a frame to its machine.
    pub fn accept(&mut self, at_us: u64, frame: FrameId, meta: FrameMeta) {
        self.waiting += 1;
        let record = FrameRecord {
            meta,
            accepted_us: at_us,
            merged_us: None,
            written_us: None,
            heard: None,
            source_died_us: None,
            tails: BTreeMap::new(),
        };
        self.frames.insert(frame, record);
    }

    /// Notes that a node began a task.
    ///
    /// # Errors
    /// When the frame is unknown, or is the node's own and has ended.
    pub fn run(&self, node: NodeId, frame: FrameId, task: TaskId) -> Result<(), Violation> {
        match self.frames.get(&frame) {
            None => Err(Violation::UnknownFrame { node, frame }),
            Some(r) if node == frame.source && r.heard.is_some() => {
                Err(Violation::RunAfterEnd { node, frame, task })
            }
            Some(_) => Ok(()),
        }
    }

    /// Notes that a source heard of its frame's end.
    ///
    /// # Errors
    /// When the source has heard before, or no gateway has written that outcome.
    pub fn heard(
        &mut self,
        frame: FrameId,
        meta: FrameMeta,
        outcome: FrameOutcome,
    ) -> Result<(), Violation> {
        let node = frame.source;
        let r = self.frames.get_mut(&frame);
        let r = r.ok_or(Violation::UnknownFrame { node, frame })?;
        if r.heard.replace(outcome).is_some() {
            return Err(Violation::EndedTwice { frame });
        }
        if r.source_died_us.is_none() {
            self.waiting -= 1;
        }
        if r.meta != meta {
            return Err(Violation::Meta { frame });
        }
        if r.records().all(|o| o != outcome) {
            return Err(Violation::FalseEnd { frame, outcome });
        }
        Ok(())
    }

    /// Notes that a node's incarnation has ended or was refused: no node waits for its frames any more.
    pub fn died(&mut self, at_us: u64, node: NodeId, incarnation: Incarnation) {
        for (f, r) in &mut self.frames {
            if f.source == node && f.incarnation == incarnation && !r.over() {
                r.source_died_us = Some(at_us);
                self.waiting -= 1;
            }
        }
    }

    /// Notes that the gateway's incarnation `incarnation` hands out a frame's tail.
    ///
    /// # Errors
    /// When that incarnation handed out the tail before, the source knows of the end, or the meta data changed.
    pub fn tail(
        &mut self,
        at_us: u64,
        incarnation: Incarnation,
        frame: FrameId,
        meta: FrameMeta,
    ) -> Result<(), Violation> {
        let r = self.at_gateway(frame, meta)?;
        if r.heard.is_some() {
            return Err(Violation::TailAfterEnd { frame });
        }
        if r.tails.insert(incarnation, Tail::Runs).is_some() {
            return Err(Violation::TailTwice { frame });
        }
        r.merged_us = Some(at_us);
        Ok(())
    }

    /// Notes the end of a tail.
    pub fn tail_ended(
        &mut self,
        at_us: u64,
        incarnation: Incarnation,
        frame: FrameId,
        failed: bool,
    ) {
        if let Some(r) = self.frames.get_mut(&frame) {
            let state = if failed {
                Tail::Failed
            } else {
                r.written_us = Some(at_us);
                Tail::Written(FrameOutcome::Detections)
            };
            r.tails.insert(incarnation, state);
        }
    }

    /// Notes that the gateway writes a drop record.
    ///
    /// # Errors
    /// When the frame has ended, its tail runs, or the meta data changed.
    pub fn dropped(
        &mut self,
        at_us: u64,
        incarnation: Incarnation,
        frame: FrameId,
        meta: FrameMeta,
        reason: DropReason,
    ) -> Result<(), Violation> {
        let r = self.at_gateway(frame, meta)?;
        if r.heard.is_some() {
            return Err(Violation::EndedTwice { frame });
        }
        let before = r
            .tails
            .insert(incarnation, Tail::Written(FrameOutcome::Dropped(reason)));
        r.written_us = Some(at_us);
        match (before, reason) {
            (Some(Tail::Failed), DropReason::TailFailed) => Ok(()),
            (None, r) if r != DropReason::TailFailed => Ok(()),
            (Some(Tail::Written(_)), _) => Err(Violation::EndedTwice { frame }),
            (tail, reason) => Err(Violation::DropOutOfTurn {
                frame,
                reason,
                tail,
            }),
        }
    }

    fn at_gateway(
        &mut self,
        frame: FrameId,
        meta: FrameMeta,
    ) -> Result<&mut FrameRecord, Violation> {
        let node = tessera_protocol::GATEWAY;
        let r = self.frames.get_mut(&frame);
        let r = r.ok_or(Violation::UnknownFrame { node, frame })?;
        if r.meta != meta {
            return Err(Violation::Meta { frame });
        }
        Ok(r)
    }
}

#[cfg(test)]
mod tests {
    use tessera_protocol::FrameNumber;

    use super::*;
    use tessera_protocol::FrameName;

    const META: FrameMeta = FrameMeta {
        tag: 1,
        name: FrameName::NONE,
        image_w: 2,
        image_h: 3,
        captured_us: 4,
    };
    const FIRST: Incarnation = Incarnation(1);
    const LOST: FrameOutcome = FrameOutcome::Dropped(DropReason::SourceLost);

    fn frame(number: u32) -> FrameId {
        FrameId {
            source: NodeId(1),
            incarnation: Incarnation(1),
            number: FrameNumber(number),
        }
    }

    fn ledger() -> Ledger {
        let mut l = Ledger::default();
        l.accept(0, frame(0), META);
        l
    }

    #[test]
    fn a_frame_ends_once() {
        let mut l = ledger();
        l.tail(1, FIRST, frame(0), META).unwrap();
        let twice = l.tail(1, FIRST, frame(0), META);
        assert_eq!(twice, Err(Violation::TailTwice { frame: frame(0) }));
        l.tail_ended(5, FIRST, frame(0), false);
        let reason = DropReason::SourceLost;
        let drop = l.dropped(6, FIRST, frame(0), META, reason);
        assert_eq!(drop, Err(Violation::EndedTwice { frame: frame(0) }));
    }

    #[test]
    fn drops_need_their_turn() {
        let mut l = ledger();
        l.tail(1, FIRST, frame(0), META).unwrap();
        let drop = l.dropped(6, FIRST, frame(0), META, DropReason::SourceLost);
        assert!(
            matches!(drop, Err(Violation::DropOutOfTurn { .. })),
            "{drop:?}"
        );
        let mut l = ledger();
        l.tail(1, FIRST, frame(0), META).unwrap();
        l.tail_ended(5, FIRST, frame(0), true);
        l.dropped(6, FIRST, frame(0), META, DropReason::TailFailed)
            .unwrap();
    }

    #[test]
    fn sources_hear_what_was_written() {
        let mut l = ledger();
        let frame = frame(0);
        let early = l.heard(frame, META, FrameOutcome::Detections);
        let outcome = FrameOutcome::Detections;
        assert_eq!(early, Err(Violation::FalseEnd { frame, outcome }));
        let mut l = ledger();
        l.dropped(6, FIRST, frame, META, DropReason::SourceLost)
            .unwrap();
        l.heard(frame, META, LOST).unwrap();
        assert_eq!(l.waiting(), 0);
        assert_eq!(
            l.heard(frame, META, LOST),
            Err(Violation::EndedTwice { frame })
        );
        let run = l.run(NodeId(1), frame, TaskId(0));
        assert!(matches!(run, Err(Violation::RunAfterEnd { .. })), "{run:?}");
        // A thief may not know yet.
        l.run(NodeId(2), frame, TaskId(0)).unwrap();
    }

    #[test]
    fn meta_travels_unchanged() {
        let mut l = ledger();
        let other = FrameMeta { tag: 9, ..META };
        let tail = l.tail(1, FIRST, frame(0), other);
        assert_eq!(tail, Err(Violation::Meta { frame: frame(0) }));
        let unknown = l.tail(1, FIRST, frame(1), META);
        assert!(
            matches!(unknown, Err(Violation::UnknownFrame { .. })),
            "{unknown:?}"
        );
    }
}
