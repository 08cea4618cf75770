//! With work sharing, boxes that edges fetch from the gateway: the frame, and what boards read of each other's tiles.

use super::{
    Gateway,
    frames::{FlightState, FramesInFlight},
    send::Outgoing,
};
use crate::{
    ObjectId, ProgramInfo, To,
    chunk_server::{Answer, Held, Place},
    peer::Peer,
    store::Store,
    wire::{NO_RUN, Request},
};
use tessera_plan::region::Region;

/// How the gateway has a box of an object.
fn held(
    frames: &FramesInFlight,
    info: &ProgramInfo,
    object: &ObjectId,
    of: Region,
) -> Option<Held> {
    let FlightState::Open(merge) = &frames.get(object.frame)?.state else {
        return None;
    };
    let (slot, region) = merge.find(info, object.key, of)?;
    Some(Held::Here(Place {
        slot,
        region,
        run: NO_RUN,
    }))
}

impl Gateway {
    pub(super) fn on_request(&mut self, to: Peer, request: &Request<'_>, store: &impl Store) {
        let held = held(&self.frames, &self.info, &request.object, request.region);
        let transfer = &mut self.stats.transfer;
        let answer = self.serve.request(to, request, held, store, transfer);
        if let Some(Answer::Absent(pull)) = answer {
            self.enqueue(Outgoing::Absent { to, pull });
        }
    }

    pub(super) fn serve_next(&mut self, store: &impl Store) -> Option<To> {
        let (frames, info) = (&self.frames, &self.info);
        let (transfer, out) = (&mut self.stats.transfer, &mut self.out);
        let has = |object: &ObjectId, of: Region| held(frames, info, object, of);
        let to = self.serve.poll(self.me, has, store, transfer, out)?;
        Some(to.to())
    }
}
