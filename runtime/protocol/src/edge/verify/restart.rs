//! Frames that begin anew, because a board that had a part in them was wrong.
//!
//! All that was made of the frame is void, by whomever it was made: it may have been made from wrong inputs. The frame keeps its
//! number and gets another *attempt*, which travels with leases, results and heartbeats. Boards drop what they have of earlier
//! attempts when they get a lease of a later one; the gateway gives its slots back and merges anew. So the frame still ends
//! with one record.

use crate::{
    FrameNumber, Micros, NodeIncarnation,
    edge::{Edge, own_frames::OwnFrame, shared_boxes::SharedBoxes},
    store::Store,
};

/// A frame that was begun anew so often is dropped instead.
const RESTARTS_MAX: u8 = 8;

impl Edge {
    /// Lets a frame begin anew without some nodes, as soon as no worker of this node has a part of it.
    pub(super) fn begin_anew(
        &mut self,
        number: FrameNumber,
        without: impl IntoIterator<Item = NodeIncarnation>,
    ) {
        let me = self.me.who();
        let Some(frame) = self.frames.live_mut(number) else {
            return;
        };
        let list = frame.restart.get_or_insert_default();
        // Bounded: two nodes at most for each restart.
        for who in without {
            if who != me && !list.contains(&who) && list.len() < usize::from(RESTARTS_MAX) * 2 {
                list.push(who);
            }
        }
        self.dirty = true;
    }

    /// Begins frames anew that no worker of this node has a part of any more.
    pub(in crate::edge) fn restart_frames(&mut self, now_us: Micros, store: &mut impl Store) {
        let waits = self.frames.in_flight().filter(|(_, f)| f.restart.is_some());
        let waiting: Vec<FrameNumber> = waits.map(|(n, _)| n).collect();
        for number in waiting {
            self.forget_checks(number, store);
            self.give_up_frame(self.frame_id(number), store);
            self.restart(now_us, number, store);
        }
    }

    fn restart(&mut self, now_us: Micros, number: FrameNumber, store: &mut impl Store) {
        let info = std::sync::Arc::clone(&self.info);
        let verify = self.config.verify;
        let idle = |f: &&mut OwnFrame| f.jobs == 0;
        let Some(frame) = self.frames.live_mut(number).filter(idle) else {
            return;
        };
        let without = frame.restart.take().unwrap_or_default();
        self.link.changed = true;
        self.dirty = true;
        if frame.attempt >= RESTARTS_MAX {
            frame.failed = true;
            return;
        }
        frame.attempt += 1;
        frame.without.extend(without);
        let slots: Vec<_> = std::mem::take(&mut frame.outputs)
            .into_values()
            .flatten()
            .collect();
        frame.runs.clear();
        frame.shared = SharedBoxes::default();
        frame.stage_us.clear();
        frame.table(number, verify, &info);
        frame.close(&info);
        frame.tasks.note_ready(now_us);
        for slot in slots {
            self.slots.give(slot, store, &mut self.stats);
        }
        self.stats.checks.frames_begun_anew += 1;
    }
}
