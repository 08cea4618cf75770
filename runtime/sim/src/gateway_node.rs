//! The gateway with its shell: a tail that takes virtual time and checks its inputs.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    core::{Core, Event},
    endpoint::Endpoint,
    exec,
    link::Attachment,
    violation::{Failure, Violation},
    watched_store::WatchedStore,
};
use tessera_protocol::{
    Drained, DropReason, FrameId, FrameMeta, GATEWAY, Gateway, GatewayConfig, GatewayInput,
    GatewayOutput, GatewayStats, Incarnation, NodeId, Notice,
    gateway::ConditionView,
    store::{SlotId, Store},
};

/// The gateway of a [`WorldConfig`](crate::WorldConfig).
#[derive(Clone, Copy, Debug)]
pub struct GatewaySpec {
    /// Configuration of the gateway's machine. The world sets `incarnation`.
    pub config: GatewayConfig,
    /// The gateway's link to the network.
    pub attachment: Attachment,
    /// Microseconds that a tail takes.
    pub tail_us: u64,
    /// Parts per million of tails that end with a failure.
    pub fail_ppm: u32,
    /// Parts per million by which the gateway's clock runs fast.
    pub clock_ppm: i32,
}

impl Default for GatewaySpec {
    fn default() -> Self {
        Self {
            config: GatewayConfig::new(Incarnation(0)),
            attachment: Attachment::default(),
            tail_us: 1000,
            fail_ppm: 0,
            clock_ppm: 0,
        }
    }
}

enum Action {
    Tail(FrameId, FrameMeta, Vec<SlotId>),
    Drop(FrameId, FrameMeta, DropReason),
    Fetched(FrameId, Option<SlotId>),
    Wait(u64),
}

/// A running gateway.
#[derive(Debug)]
pub(super) struct GatewayNode {
    pub spec: GatewaySpec,
    pub endpoint: Endpoint,
    pub store: WatchedStore,
    machine: Gateway,
    tails: BTreeMap<FrameId, Vec<SlotId>>,
    /// Notices that the machine has given for operators.
    pub notices: Vec<Notice>,
    /// Virtual time until which tails compute, one after the other.
    busy_until: u64,
}

impl GatewayNode {
    const OUTPUTS_MAX: usize = 100_000;

    /// `spec.config` complete.
    pub fn new(spec: GatewaySpec, endpoint: Endpoint, core: &Core) -> Self {
        let info = Arc::clone(&core.info);
        Self {
            spec,
            endpoint,
            store: WatchedStore::new(&spec.config.slots(&info), true).poisoned(core.values),
            machine: Gateway::new(spec.config, info),
            tails: BTreeMap::new(),
            notices: Vec::new(),
            busy_until: 0,
        }
    }

    /// The machine's counts of nodes and frames that are not done.
    pub fn drained(&self) -> Drained {
        self.machine.drained()
    }

    /// What the machine knows of boards at this time of the world.
    pub fn conditions(&self, now_us: u64) -> Vec<(NodeId, ConditionView)> {
        let now_us = self.endpoint.clock.local(now_us);
        self.machine.conditions_at(now_us).collect()
    }

    /// The machine's counters.
    pub const fn stats(&self) -> &GatewayStats {
        self.machine.stats()
    }

    /// Length of the machine's state as debug text, which stays bounded however long the machine runs.
    pub fn state_bytes(&self) -> usize {
        format!("{:?}", self.machine).len()
    }

    /// Gives the machine an input and performs the actions that the machine asks for.
    pub fn input(&mut self, core: &mut Core, input: GatewayInput<'_>) -> Result<(), Failure> {
        core.counters.inputs += 1;
        let now_us = self.endpoint.clock.local(core.queue.now_us());
        self.machine.handle(now_us, input, &mut self.store);
        self.endpoint.pump(core)?;
        for _ in 0..Self::OUTPUTS_MAX {
            let action = match self.machine.poll(now_us, &mut self.store) {
                GatewayOutput::Send { to, bytes } => {
                    self.endpoint.send(core, to, bytes)?;
                    continue;
                }
                GatewayOutput::RunTail {
                    frame,
                    meta,
                    inputs,
                    ..
                } => Action::Tail(frame, meta, inputs),
                GatewayOutput::Drop {
                    frame,
                    meta,
                    reason,
                    ..
                } => Action::Drop(frame, meta, reason),
                GatewayOutput::Fetched { frame, picture, .. } => Action::Fetched(frame, picture),
                GatewayOutput::Notice(notice) => {
                    core.trace(|| format!("0 says {notice:?}"));
                    self.notices.push(notice);
                    continue;
                }
                GatewayOutput::WaitUntil(t) => Action::Wait(t),
            };
            match action {
                Action::Tail(frame, meta, inputs) => self.tail(core, frame, meta, inputs)?,
                Action::Drop(frame, meta, reason) => {
                    core.trace(|| format!("0 drops {frame:?} {reason:?}"));
                    let (at_us, incarnation) = (core.queue.now_us(), self.endpoint.incarnation);
                    let dropped = core.ledger.dropped(at_us, incarnation, frame, meta, reason);
                    dropped.map_err(|v| core.fail(v))?;
                }
                Action::Fetched(frame, picture) => {
                    if let Some(slot) = picture {
                        self.check_picture(core, frame, slot)?;
                    }
                    let done = GatewayInput::TailDone { frame };
                    self.machine.handle(now_us, done, &mut self.store);
                }
                Action::Wait(t) => {
                    self.endpoint.wait(core, t);
                    return Ok(());
                }
            }
        }
        Err(core.fail(Violation::Spins { node: GATEWAY }))
    }

    fn tail(
        &mut self,
        core: &mut Core,
        frame: FrameId,
        meta: FrameMeta,
        inputs: Vec<SlotId>,
    ) -> Result<(), Failure> {
        core.trace(|| format!("0 runs the tail of {frame:?}"));
        let at_us = core.queue.now_us();
        let taken = core
            .ledger
            .tail(at_us, self.endpoint.incarnation, frame, meta);
        taken.map_err(|v| core.fail(v))?;
        let expected = core.info.tail_inputs.len();
        if inputs.len() != expected {
            let found = inputs.len();
            return Err(core.fail(Violation::TailInputs { found, expected }));
        }
        for &slot in &inputs {
            self.store.lock_read(slot);
        }
        self.tails.insert(frame, inputs);
        self.busy_until = self.busy_until.max(core.queue.now_us()) + self.spec.tail_us;
        let event = Event::TailEnd {
            incarnation: self.endpoint.incarnation,
            frame,
            failed: core.random.chance(self.spec.fail_ppm),
        };
        core.queue.push(self.busy_until, event);
        Ok(())
    }

    /// Ends a frame's tail.
    pub fn tail_end(
        &mut self,
        core: &mut Core,
        frame: FrameId,
        failed: bool,
    ) -> Result<(), Failure> {
        let Some(inputs) = self.tails.remove(&frame) else {
            return Ok(());
        };
        if core.values {
            self.check_tail(core, frame, &inputs)?;
        }
        for &slot in &inputs {
            self.store.unlock_read(slot);
        }
        core.trace(|| format!("0 ends the tail of {frame:?}, failed {failed}"));
        let at_us = core.queue.now_us();
        core.ledger
            .tail_ended(at_us, self.endpoint.incarnation, frame, failed);
        let input = if failed {
            GatewayInput::TailFailed { frame }
        } else if self.spec.config.pictures_max > 0 {
            // It has ended when it was seen.
            GatewayInput::Fetch { frame }
        } else {
            GatewayInput::TailDone { frame }
        };
        self.input(core, input)
    }

    /// Compares a frame that was fetched whole with the one that its source brought.
    fn check_picture(&self, core: &mut Core, frame: FrameId, slot: SlotId) -> Result<(), Failure> {
        core.trace(|| format!("0 has {frame:?}"));
        core.counters.pictures += 1;
        let tensor = &core.info.tensors[0];
        let expected = exec::frame_values(frame, tensor.element, tensor.region.len());
        let found = exec::unpack(self.store.bytes(slot), tensor.element);
        if core.values && !found.eq(expected) {
            return Err(core.fail(Violation::WrongPicture { frame }));
        }
        Ok(())
    }

    /// Compares what a tail read with what the oracle expects.
    fn check_tail(
        &self,
        core: &mut Core,
        frame: FrameId,
        inputs: &[SlotId],
    ) -> Result<(), Failure> {
        let tensors = core.oracle.tensors(frame);
        let info = Arc::clone(&core.info);
        for (input, (&slot, &t)) in inputs.iter().zip(&info.tail_inputs).enumerate() {
            let expected = &tensors[t as usize];
            let (bytes, element) = (self.store.job_bytes(slot), info.tensors[t as usize].element);
            let wrong = exec::unpack(bytes, element)
                .zip(expected)
                .position(|(a, &b)| a != b);
            let short = (bytes.len() != expected.len() * element.bytes()).then_some(expected.len());
            if let Some(position) = wrong.or(short) {
                return Err(core.fail(Violation::WrongTail {
                    frame,
                    input,
                    position,
                    values: expected.len(),
                }));
            }
        }
        Ok(())
    }
}
