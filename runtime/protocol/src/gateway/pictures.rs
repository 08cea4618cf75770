//! Whole frames that people are to see, fetched from their sources as other boards fetch parts of them. It begins when a
//! frame's tail has run: the source has the frame until it hears that the frame has ended, and that waits.

use std::collections::BTreeMap;

use super::{Gateway, GatewayPull, frames::FlightState, send::Action};
use crate::{
    FrameId, ObjectId, PullId,
    pull::{Destination, PullError},
    store::{SlotId, Store},
};
use tessera_plan::dataflow::ObjectKey;

/// Frames that are fetched, or lie here whole, by id; at most [`GatewayConfig::pictures_max`](crate::GatewayConfig).
pub(super) type Pictures = BTreeMap<FrameId, Picture>;

/// A whole frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Picture {
    slot: SlotId,
    /// The pull that writes to the slot, until it ends.
    pull: Option<PullId>,
}

impl Gateway {
    /// Begins to fetch a frame whose tail has run.
    pub(super) fn fetch(&mut self, id: FrameId, store: &mut impl Store) {
        let Some(flight) = self.frames.get(id) else {
            return;
        };
        if !matches!(flight.state, FlightState::Tail(_)) || self.pictures.contains_key(&id) {
            return;
        }
        let announced = flight.announced;
        let source = self.nodes.living(id.source, id.incarnation).map(|n| n.peer);
        let tensor = &self.info.tensors[0];
        let room = self.pictures.len() < self.config.pictures_max;
        let mut slot = || store.alloc(tensor.bytes(tensor.region));
        let Some((holder, slot)) = source.filter(|_| room).and_then(|s| Some((s, slot()?))) else {
            let nothing = Action::Fetched(id, announced, None);
            self.actions.push_back(nothing);
            return;
        };
        self.stats.slots += 1;
        self.stats.slots_peak = self.stats.slots_peak.max(self.stats.slots);
        let object = ObjectId {
            frame: id,
            key: ObjectKey::Frame,
        };
        let place = Destination {
            slot,
            region: tensor.region,
            element: tensor.element,
        };
        let (tag, transfer) = (GatewayPull::Picture(id), &mut self.stats.transfer);
        let pull = (self.receiver).start(tag, holder, object, tensor.region, place, transfer);
        // What a tail waits for goes first.
        self.receiver.set_ahead(pull, true);
        let pull = Some(pull);
        self.pictures.insert(id, Picture { slot, pull });
    }

    /// Says whether a frame is here.
    pub(super) fn picture_ended(
        &mut self,
        id: FrameId,
        how: Result<(), PullError>,
        store: &mut impl Store,
    ) {
        let Some(picture) = self.pictures.get_mut(&id) else {
            return;
        };
        picture.pull = None;
        let slot = how.is_ok().then_some(picture.slot);
        if slot.is_none() {
            self.end_picture(id, store);
        }
        if let Some(flight) = self.frames.get(id) {
            let fetched = Action::Fetched(id, flight.announced, slot);
            self.actions.push_back(fetched);
        }
    }

    /// Forgets a frame that was fetched, or is.
    pub(super) fn end_picture(&mut self, id: FrameId, store: &mut impl Store) {
        let of = |a: &Action| matches!(a, Action::Fetched(frame, ..) if *frame == id);
        self.actions.retain(|a| !of(a));
        if let Some(Picture { slot, pull }) = self.pictures.remove(&id) {
            if let Some(pull) = pull {
                self.receiver.cancel(pull);
            }
            self.free(vec![slot], store);
        }
    }
}
