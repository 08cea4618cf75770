//! Jobs whose inputs arrive while a worker has them.

use std::time::{Duration, Instant};

use tessera_node::workers::WorkersConfig;
use tessera_protocol::{
    Job, JobId,
    store::{SlotId, Store},
};

use super::{
    program::{ADD, CHANNELS, SIDE},
    rig::{PATIENCE, Rig, check, open_weights, quarter},
};

/// Bytes of a row of the map.
const ROW: usize = 4 * SIDE * CHANNELS;

/// A job that is out and lacks all rows of its second piece, which are kept aside.
struct Waiting {
    id: JobId,
    slot: SlotId,
    rows: Vec<u8>,
}

fn submit_waiting(rig: &mut Rig, task: u32, frame: u32) -> Waiting {
    let mut job: Job = rig.job(task, frame).expect("slots for it");
    let slot = job.inputs[0][1].0;
    let bytes = rig.store.bytes_mut(slot);
    let rows = bytes.to_vec();
    // Not numbers: a task that read them would spoil its output.
    bytes.fill(0xff);
    job.arriving = vec![(slot, 0)];
    let id = rig.submit_job(job, frame).expect("room for it");
    Waiting { id, slot, rows }
}

impl Waiting {
    /// Brings rows up to row `to`.
    fn bring(&self, rig: &mut Rig, to: usize) {
        let (from, open) = rig.store.open_bytes(self.slot);
        let end = (to * ROW).min(self.rows.len());
        open[..end - from].copy_from_slice(&self.rows[from..end]);
        (rig.workers).arrived(self.id, self.slot, to, &mut rig.store);
    }
}

pub fn rows_are_read_as_they_arrive() {
    let mut rig = Rig::new(4, 2);
    for frame in 0..100 {
        let waiting = submit_waiting(&mut rig, quarter(frame), frame);
        let other = rig.submit(quarter(frame + 1), frame);
        for to in 1..=SIDE / 2 {
            if frame % 3 == 0 {
                std::thread::sleep(Duration::from_micros(300));
            }
            waiting.bring(&mut rig, to);
        }
        let ended = rig.finish();
        assert!(ended.iter().any(|e| e.id == other));
        ended.iter().for_each(check);
    }
}

/// Steps for longer than a worker may stand still.
fn wait_out(rig: &mut Rig, stuck_after: Duration) {
    let began = Instant::now();
    while began.elapsed() < 2 * stuck_after {
        assert_eq!(rig.step().expect("workers work"), []);
    }
}

pub fn who_waits_for_rows_is_not_stuck() {
    let stuck_after = Duration::from_millis(500);
    let dir = tempfile::tempdir().expect("a folder");
    let weights = open_weights(dir.path());
    let config = WorkersConfig {
        count: 1,
        stuck_after,
        ..WorkersConfig::default()
    };
    let mut rig = Rig::with(2, dir, weights, &config);
    let waiting = submit_waiting(&mut rig, ADD + 3, 7);
    wait_out(&mut rig, stuck_after);
    waiting.bring(&mut rig, SIDE / 2);
    rig.finish().iter().for_each(check);
    // Nor is waiting work.
    let work = rig.workers.work();
    assert_eq!(work.iter().map(|w| w.jobs).sum::<u64>(), 1);
    assert!(u128::from(work[0].busy_us) < stuck_after.as_micros());
    assert_eq!(rig.workers.statistics()[0].starts, 1);
}

pub fn an_abandoned_job_ends() {
    let mut rig = Rig::new(3, 1);
    let waiting = submit_waiting(&mut rig, ADD + 3, 1);
    rig.all_leased();
    waiting.bring(&mut rig, 1);
    rig.workers.abandon(waiting.id, &mut rig.store);
    // Nothing of it may be written any more.
    assert!(rig.store.open_bytes(waiting.slot).1.is_empty());
    let ended = rig.finish();
    assert_eq!(ended.len(), 1);
    assert_eq!(rig.workers.work(), [], "it says nothing of its task");
    // The worker goes on.
    rig.submit(ADD, 2);
    rig.finish().iter().for_each(check);
    assert_eq!(rig.workers.statistics()[0].starts, 1);
}

pub fn a_kill_while_it_waits_fails_its_job() {
    let mut rig = Rig::new(3, 1);
    let waiting = submit_waiting(&mut rig, ADD + 3, 1);
    rig.all_leased();
    rig.kill(0);
    let ended = rig.until_starts(0, 2);
    assert!(ended.iter().all(|e| e.id == waiting.id && e.made.is_none()));
    // What comes later is for nobody.
    (rig.workers).abandon(waiting.id, &mut rig.store);
    (rig.workers).arrived(waiting.id, waiting.slot, 1, &mut rig.store);
    rig.submit(ADD, 2);
    rig.finish()
        .iter()
        .filter(|e| e.id != waiting.id)
        .for_each(check);
}

pub fn stopping_does_not_wait_for_rows() {
    let mut rig = Rig::new(3, 1);
    submit_waiting(&mut rig, ADD + 3, 1);
    rig.all_leased();
    let began = Instant::now();
    let stats = rig.workers.stop();
    // It ended its job and left by itself: who is killed has noted nothing at its end.
    assert_eq!(stats[0].jobs, 0, "the job is not reported");
    assert!(stats[0].pid.is_none() && began.elapsed() < PATIENCE);
}
