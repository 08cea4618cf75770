//! A segment, its store, workers, and the jobs that are out.

use std::{
    collections::BTreeMap,
    fs,
    os::fd::AsFd,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, poll},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sha2::{Digest, Sha256};
use tessera_node::{
    shm::{Layout, Segment, SegmentStore},
    workers::{JobEnd, SubmitError, Workers, WorkersConfig, WorkersError},
};
use tessera_plan::{
    dataflow::SlotCount,
    files::weights::{Header, SectionEntry},
    region::Region,
};
use tessera_protocol::{
    FrameId, FrameNumber, Incarnation, Job, JobId, NodeId, TaskId,
    store::{SlotId, Store},
};
use tessera_runtime::{element, weights::WeightsFile};

use super::program::{ADD, CHANNELS, FLOATS, PROGRAM, SIDE, WEIGHT, value};

/// Longest time that nothing may happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a test has.
pub struct Rig {
    pub store: SegmentStore,
    pub workers: Workers,
    pub dir: tempfile::TempDir,
    out: BTreeMap<JobId, Sent>,
    next: u32,
}

struct Sent {
    job: Job,
    frame: u32,
}

/// How a job ended, with what it made.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    pub id: JobId,
    pub task: u32,
    pub frame: u32,
    /// `None`: failed.
    pub made: Option<Vec<f32>>,
}

/// Writes packed weights of [`PROGRAM`].
pub fn write_weights(dir: &Path) -> PathBuf {
    let values: Vec<u8> = WEIGHT.to_le_bytes().to_vec();
    let header = Header {
        model_digest: PROGRAM.model_digest,
        sections: vec![SectionEntry {
            name: "s0".into(),
            offset: 0,
            floats: 1,
            digest: Sha256::digest(&values).into(),
        }],
    };
    let mut file = header.to_bytes().expect("one short name").to_vec();
    file.extend(values);
    let path = dir.join("weights.bin");
    fs::write(&path, file).expect("weights are written");
    path
}

/// Opens packed weights of [`PROGRAM`].
pub fn open_weights(dir: &Path) -> WeightsFile {
    WeightsFile::open(&write_weights(dir)).expect("weights")
}

/// Room for one job more than `jobs`: input in two pieces, one output.
const fn slots(jobs: usize) -> [SlotCount; 1] {
    [SlotCount {
        bytes: 4 * FLOATS,
        count: 3 * (jobs + 1),
    }]
}

impl Rig {
    pub fn new(jobs: usize, workers: usize) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let weights = open_weights(dir.path());
        Self::with_weights(jobs, workers, dir, weights)
    }

    pub fn with_weights(
        jobs: usize,
        workers: usize,
        dir: tempfile::TempDir,
        weights: WeightsFile,
    ) -> Self {
        let config = WorkersConfig {
            count: workers,
            // Some tests sleep, and machines are busy: nobody is stuck here.
            stuck_after: 10 * PATIENCE,
            ..WorkersConfig::default()
        };
        Self::with(jobs, dir, weights, &config)
    }

    pub fn with(
        jobs: usize,
        dir: tempfile::TempDir,
        weights: WeightsFile,
        config: &WorkersConfig,
    ) -> Self {
        let workers = config.count;
        let layout = Layout {
            plan_hash: PROGRAM.plan_hash,
            jobs,
            workers,
            pieces: 8,
            slot_bytes: 3 * (jobs + 1) * FLOATS * 4,
        };
        let segment = Segment::create(&layout).expect("a segment");
        Self {
            store: SegmentStore::new(&segment, &slots(jobs)).expect("a store"),
            workers: Workers::start(&PROGRAM, weights, &segment, config).expect("workers"),
            dir,
            out: BTreeMap::new(),
            next: 0,
        }
    }

    /// A job whose input lies in two pieces that share a row.
    pub fn job(&mut self, task: u32, frame: u32) -> Option<Job> {
        let mut pieces = Vec::new();
        for y in [[0, SIDE / 2 + 1], [SIDE / 2, SIDE]] {
            let region = Region::new(y, [0, SIDE], [0, CHANNELS]);
            let slot = self.store.alloc(4 * region.len())?;
            let values = element::floats_mut(self.store.bytes_mut(slot));
            for (k, v) in values.iter_mut().enumerate() {
                let (k, c) = (k / CHANNELS, k % CHANNELS);
                *v = value(frame, y[0] + k / SIDE, k % SIDE, c);
            }
            pieces.push((slot, region));
        }
        let port = PROGRAM.tasks[task as usize].outputs[0];
        let output = self.store.alloc(4 * port.region.len())?;
        element::floats_mut(self.store.bytes_mut(output)).fill(f32::NAN);
        self.next += 1;
        Some(Job {
            id: JobId(self.next),
            task: TaskId(task),
            frame: FrameId {
                source: NodeId(1),
                incarnation: Incarnation(1),
                number: FrameNumber(frame),
            },
            stolen: false,
            inputs: vec![pieces],
            outputs: vec![output],
            arriving: Vec::new(),
        })
    }

    pub fn submit(&mut self, task: u32, frame: u32) -> JobId {
        let job = self.job(task, frame).expect("slots for it");
        self.submit_job(job, frame).expect("room for it")
    }

    pub fn submit_job(&mut self, job: Job, frame: u32) -> Result<JobId, SubmitError> {
        let id = job.id;
        match self.workers.submit(&job, &mut self.store) {
            Ok(()) => {
                let old = self.out.insert(id, Sent { job, frame });
                assert!(old.is_none(), "ids are new");
                Ok(id)
            }
            Err(e) => {
                self.free(&job);
                Err(e)
            }
        }
    }

    fn free(&mut self, job: &Job) {
        let slots = job.inputs.iter().flatten().map(|p| p.0);
        for slot in slots
            .chain(job.outputs.iter().copied())
            .collect::<Vec<SlotId>>()
        {
            self.store.free(slot);
        }
    }

    /// Waits for something to happen; gives the jobs that ended.
    pub fn step(&mut self) -> Result<Vec<Ended>, WorkersError> {
        let mut fds = [PollFd::new(self.workers.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PATIENCE.as_millis() as u16).expect("poll");
        let mut over = Vec::new();
        let result = self.workers.drain(|id, end| over.push((id, end)));
        let ended = over
            .into_iter()
            .map(|(id, end)| self.ended(id, end))
            .collect();
        result.map(|()| ended)
    }

    fn ended(&mut self, id: JobId, end: JobEnd) -> Ended {
        let sent = self
            .out
            .remove(&id)
            .expect("a job is reported once, and was submitted");
        let done = matches!(end, JobEnd::Done { .. });
        // Not lent any more: this does not panic.
        let made =
            done.then(|| element::floats_mut(self.store.bytes_mut(sent.job.outputs[0])).to_vec());
        self.free(&sent.job);
        Ended {
            id,
            task: sent.job.task.0,
            frame: sent.frame,
            made,
        }
    }

    /// Waits until every job that is out has ended.
    pub fn finish(&mut self) -> Vec<Ended> {
        let mut ended = Vec::new();
        let began = Instant::now();
        while !self.out.is_empty() {
            ended.extend(self.step().expect("workers work"));
            assert!(
                began.elapsed() < PATIENCE,
                "{} jobs are still out",
                self.out.len()
            );
        }
        assert_eq!(self.workers.jobs_out(), 0);
        ended
    }

    /// Waits until no job is queued: all are leased or over.
    pub fn all_leased(&mut self) {
        let began = Instant::now();
        while self.workers.queued() > 0 {
            assert!(began.elapsed() < PATIENCE, "nobody takes the jobs");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Process id of a running worker.
    pub fn pid(&self, worker: usize) -> i32 {
        let pid = self.workers.statistics()[worker].pid.expect("it runs");
        i32::try_from(pid).expect("a process id")
    }

    /// Kills a worker's process, which nobody has reaped yet.
    pub fn kill(&self, worker: usize) {
        self.signal(worker, Signal::SIGKILL);
    }

    /// Sends a signal to a worker's process.
    pub fn signal(&self, worker: usize, signal: Signal) {
        kill(Pid::from_raw(self.pid(worker)), signal).expect("it is there");
    }

    /// Steps until a worker has been started so often; gives the jobs that ended meanwhile.
    pub fn until_starts(&mut self, worker: usize, starts: u32) -> Vec<Ended> {
        let mut ended = Vec::new();
        while self.workers.statistics()[worker].starts < starts {
            ended.extend(self.step().expect("workers work"));
        }
        ended
    }

    pub fn jobs_out(&self) -> usize {
        self.out.len()
    }
}

/// Checks what a task made, bit for bit.
pub fn check(e: &Ended) {
    let made = e.made.as_ref().expect("the job is done");
    let region = PROGRAM.tasks[e.task as usize].outputs[0].region;
    assert_eq!(made.len(), region.len());
    let mut k = 0;
    for y in region.y.lo..region.y.hi {
        for x in region.x.lo..region.x.hi {
            for c in 0..CHANNELS {
                let want = value(e.frame, y, x, c) + WEIGHT;
                assert_eq!(made[k].to_bits(), want.to_bits(), "{e:?} at {y} {x} {c}");
                k += 1;
            }
        }
    }
}

/// The quarter that job number `k` makes.
pub fn quarter(k: u32) -> u32 {
    ADD + k % 4
}
