//! Boxes that several tasks of this board read: no value is fetched twice.
//!
//! Neighbouring tiles overlap, and home tasks of a frame are known from the start. When a task has fetched a box, the
//! parts that other home tasks of this board will read are kept for these. They fetch only what is missing, and wait
//! with that while somebody here fetches a part of it. So a board fetches the union of its tasks' boxes, in whatever
//! order the tasks come, and `TaskGraph::crossing` counts the same bytes.
//!
//! Kept parts lie on the heap, not in slots: they are a halo wide. They go when their reader is through, or with the
//! frame.

use std::collections::BTreeMap;

use super::{
    Edge,
    pending_job::{FetchState, FetchedPart, InputPull, PullTag},
};
use crate::{
    FrameId, JobId, ProgramInfo, TaskId,
    pull::{Destination, gather, scatter},
    store::Store,
};
use tessera_plan::{
    dataflow::{ObjectKey, TaskGraph},
    placement::board,
    region::Region,
};

/// A task, and the index of one of its needs.
type Reader = (TaskId, usize);

/// What was fetched for other tasks of a frame and will be read here, by reader.
#[derive(Debug, Default)]
pub struct SharedBoxes {
    kept: BTreeMap<Reader, Vec<(Region, Vec<u8>)>>,
}

impl SharedBoxes {
    /// The parts of a reader's box that have to be fetched.
    fn missing(&self, reader: Reader, region: Region) -> Vec<Region> {
        region.without(self.regions(reader))
    }

    fn regions(&self, reader: Reader) -> impl Iterator<Item = Region> {
        let kept = self.kept.get(&reader).into_iter().flatten();
        kept.map(|(region, _)| *region)
    }

    /// Writes what was kept for a reader into its packed box `of`, of values of `n` bytes.
    fn copy_to(&self, reader: Reader, n: usize, of: Region, bytes: &mut [u8]) {
        for (region, kept) in self.kept.get(&reader).into_iter().flatten() {
            scatter(n, bytes, of, *region, 0, kept);
        }
    }

    /// Keeps the parts of a reader's box that lie in the packed box `of`.
    fn keep(&mut self, reader: Reader, region: Region, n: usize, of: Region, bytes: &[u8]) {
        for part in region.meet(of).without(self.regions(reader)) {
            if part.is_empty() {
                continue;
            }
            let mut kept = Vec::with_capacity(n * part.len());
            gather(n, bytes, of, part, 0..n * part.len(), &mut kept);
            self.kept.entry(reader).or_default().push((part, kept));
        }
    }

    /// Forgets what was kept for a task.
    pub fn over(&mut self, task: TaskId) {
        self.kept.retain(|(reader, _), _| *reader != task);
    }
}

/// Tasks that read the frame itself, by home.
pub fn frame_readers(graph: &TaskGraph) -> BTreeMap<u16, Vec<TaskId>> {
    let mut all: BTreeMap<u16, Vec<TaskId>> = BTreeMap::new();
    // A task that stands in for another is not expected to read anything.
    for (task, id) in graph
        .tasks
        .iter()
        .zip(0..)
        .filter(|(t, _)| t.instead_of.is_none())
    {
        if task.needs.iter().any(|n| n.key == ObjectKey::Frame) {
            all.entry(task.home).or_default().push(TaskId(id));
        }
    }
    all
}

impl Edge {
    /// The board that this node is for a frame; `None` where tasks have no homes.
    fn board_for(&self, frame: FrameId) -> Option<u16> {
        let boards = self.info.boards;
        (self.policy().keeps_boxes()).then(|| board(self.config.id.0, frame.source.0, boards))
    }

    fn is_at_home(&self, frame: FrameId, task: TaskId) -> bool {
        self.board_for(frame) == Some(self.info.tasks[task.index()].home)
    }

    fn boxes_of(&self, frame: FrameId) -> Option<&SharedBoxes> {
        match self.own(frame) {
            Some(number) => Some(&self.frames.live(number)?.shared),
            None => Some(&self.foreign.get(frame)?.shared),
        }
    }

    pub(super) fn boxes_of_mut(&mut self, frame: FrameId) -> Option<&mut SharedBoxes> {
        match self.own(frame) {
            Some(number) => Some(&mut self.frames.live_mut(number)?.shared),
            None => Some(&mut self.foreign.get_mut(frame)?.shared),
        }
    }

    /// Fetches what is missing of a job's need, unless another task here fetches a part of that now.
    pub(super) fn start_fetch(&mut self, id: JobId, k: usize, store: &mut impl Store) {
        let info = std::sync::Arc::clone(&self.info);
        let Some(job) = self.jobs.get(id) else { return };
        let Some(fetch) = job.fetches.get(&k).filter(|f| f.state == FetchState::Waits) else {
            return;
        };
        let (frame, reader, holder) = (job.frame, (job.task, k), fetch.holder);
        let early = job.early_needs.contains(&k);
        let piece = job.pieces[k];
        let need = info.tasks[job.task.index()].needs[k];
        let element = info.element(need.key).unwrap_or_default();
        let mut parts = vec![need.region];
        if self.is_at_home(frame, reader.0) {
            if self.is_under_way(frame, need.key, need.region) {
                return;
            }
            if let Some(boxes) = self.boxes_of(frame) {
                parts = boxes.missing(reader, need.region);
                boxes.copy_to(
                    reader,
                    element.bytes(),
                    piece.region,
                    store.bytes_mut(piece.slot),
                );
            }
        }
        let mut pulls = Vec::with_capacity(parts.len());
        for part in parts {
            let tag = PullTag::Input(InputPull {
                job: id,
                need: k,
                part,
            });
            let place = Destination {
                slot: piece.slot,
                region: piece.region,
                element,
            };
            let object = crate::ObjectId {
                frame,
                key: need.key,
            };
            let transfer = &mut self.stats.transfer;
            let pull = (self.receiver).start(tag, holder, object, part, place, transfer);
            if early {
                self.receiver.expect_later(pull);
            }
            pulls.push(FetchedPart {
                pull,
                region: part,
                rows: 0,
            });
        }
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        if pulls.is_empty() {
            job.fetches.remove(&k);
            job.loaded_if_complete();
        } else if let Some(fetch) = job.fetches.get_mut(&k) {
            fetch.state = FetchState::UnderWay(pulls);
        }
    }

    /// True when a home task fetches a part of this box now.
    fn is_under_way(&self, frame: FrameId, key: ObjectKey, region: Region) -> bool {
        let of_frame = self.jobs.iter().filter(|(_, j)| j.frame == frame);
        of_frame
            .filter(|(_, j)| self.is_at_home(frame, j.task))
            .any(|(_, j)| {
                let needs = &self.info.tasks[j.task.index()].needs;
                j.fetches.iter().any(|(k, f)| {
                    let overlaps =
                        needs[*k].key == key && !needs[*k].region.meet(region).is_empty();
                    overlaps && matches!(f.state, FetchState::UnderWay(_))
                })
            })
    }

    /// Keeps what other home tasks will read of a box that a job has fetched.
    pub(super) fn keep_for_others(&mut self, id: JobId, k: usize, store: &impl Store) {
        let Some(job) = self.jobs.get(id) else { return };
        let (frame, task, piece) = (job.frame, job.task, job.pieces[k]);
        let Some(board) = self.board_for(frame) else {
            return;
        };
        if !self.is_at_home(frame, task) {
            return;
        }
        let info = std::sync::Arc::clone(&self.info);
        let key = info.tasks[task.index()].needs[k].key;
        let n = info.element(key).unwrap_or_default().bytes();
        let readers = match key.task() {
            Some(maker) => Some(&info.tasks[maker.index()].consumers),
            None => self.frame_readers.get(&board),
        };
        let expected = |t: TaskId| !info.stands_in(t);
        let at_home = |t: &&TaskId| info.tasks[t.index()].home == board && expected(**t);
        let readers = readers.into_iter().flatten().filter(at_home);
        let readers: Vec<TaskId> = readers.copied().collect();
        for other in readers {
            if !self.will_fetch(&info, frame, other) {
                continue;
            }
            for (j, need) in info.tasks[other.index()].needs.iter().enumerate() {
                let waits = self.waits_with(frame, other, j);
                if need.key != key || need.region.meet(piece.region).is_empty() || !waits {
                    continue;
                }
                if let Some(boxes) = self.boxes_of_mut(frame) {
                    let bytes = store.bytes(piece.slot);
                    boxes.keep((other, j), need.region, n, piece.region, bytes);
                }
            }
        }
    }

    /// True unless a task is known to be done.
    fn will_fetch(&self, info: &ProgramInfo, frame: FrameId, task: TaskId) -> bool {
        match self.own(frame) {
            Some(number) => (self.frames.live(number)).is_some_and(|f| !f.tasks.get(task).done()),
            None => {
                let key = ObjectKey::Output { task, output: 0 };
                let foreign = self.foreign.get(frame);
                foreign.is_some_and(|f| !f.over && f.find(info, key).is_none())
            }
        }
    }

    /// True unless a job has begun to fetch this need.
    fn waits_with(&self, frame: FrameId, task: TaskId, need: usize) -> bool {
        self.jobs.making(frame, task).is_none_or(|(_, job)| {
            let fetch = job.fetches.get(&need);
            fetch.is_some_and(|f| f.state == FetchState::Waits)
        })
    }

    /// Starts fetches of an object that have waited for others.
    pub(super) fn start_waiting(&mut self, frame: FrameId, key: ObjectKey, store: &mut impl Store) {
        let info = std::sync::Arc::clone(&self.info);
        let mut waiting = Vec::new();
        for (id, job) in self.jobs.iter().filter(|(_, j)| j.frame == frame) {
            let needs = &info.tasks[job.task.index()].needs;
            let waits = job.fetches.iter();
            let waits =
                waits.filter(|(k, f)| needs[**k].key == key && f.state == FetchState::Waits);
            waiting.extend(waits.map(|(k, _)| (id, *k)));
        }
        if waiting.is_empty() {
            return;
        }
        for (id, k) in waiting {
            self.start_fetch(id, k, store);
        }
        self.rank_fetches();
    }
}
