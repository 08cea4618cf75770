//! Jobs whose inputs arrive, and whose outputs leave, while a worker has them.

use std::time::{Duration, Instant};

use tessera_node::workers::WorkersConfig;
use tessera_protocol::{
    Job, JobId,
    store::{SlotId, Store},
};

use super::{
    program::{ADD, CHANNELS, PASS, SIDE, WEIGHT, value},
    rig::{PATIENCE, Rig, check, open_weights, quarter},
};

/// Bytes of a row of the map.
const ROW: usize = 4 * SIDE * CHANNELS;

/// A job that is out and lacks all rows of its second piece, which are kept aside.
struct Waiting {
    id: JobId,
    slot: SlotId,
    output: SlotId,
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
    let output = job.outputs[0];
    let id = rig.submit_job(job, frame).expect("room for it");
    Waiting {
        id,
        slot,
        output,
        rows,
    }
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

/// Waits until so many rows of a job's output are made, and compares them.
fn until_made(rig: &Rig, waiting: &Waiting, rows: usize, frame: u32) {
    let began = Instant::now();
    loop {
        let made = rig.store.made_bytes(waiting.output);
        if made.len() >= rows * ROW {
            assert_eq!(made.len(), rows * ROW);
            let floats = made.chunks_exact(4);
            for (k, bytes) in floats.enumerate() {
                let (px, c) = (k / CHANNELS, k % CHANNELS);
                let want = value(frame, px / SIDE, px % SIDE, c) + WEIGHT;
                assert_eq!(bytes, want.to_le_bytes(), "value {k}");
            }
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{} bytes are made", made.len());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The first rows of an output are there while the task lacks the last rows of its input.
pub fn rows_leave_before_their_task_ends() {
    let mut rig = Rig::new(3, 1);
    for frame in 0..5 {
        let waiting = submit_waiting(&mut rig, PASS, frame);
        for to in 0..SIDE / 2 {
            waiting.bring(&mut rig, to);
            until_made(&rig, &waiting, SIDE / 2 + to, frame);
            assert_eq!(rig.jobs_out(), 1);
        }
        waiting.bring(&mut rig, SIDE / 2);
        rig.finish().iter().for_each(check);
    }
}

/// Outputs that are not stored in order have no rows before the end.
pub fn what_is_written_in_any_order_does_not_leave() {
    let mut rig = Rig::new(3, 1);
    let waiting = submit_waiting(&mut rig, ADD + 3, 1);
    rig.all_leased();
    assert!(rig.store.made_bytes(waiting.output).is_empty());
    waiting.bring(&mut rig, SIDE / 2);
    rig.finish().iter().for_each(check);
}

/// Rows that may have been computed with other weights count only if nobody has seen them.
pub fn rows_that_left_are_not_made_anew() {
    for looks in [true, false] {
        let mut rig = Rig::new(3, 1);
        let waiting = submit_waiting(&mut rig, PASS, 1);
        rig.all_leased();
        waiting.bring(&mut rig, 1);
        if looks {
            until_made(&rig, &waiting, SIDE / 2 + 1, 1);
        }
        let weights = std::fs::File::options()
            .write(true)
            .open(rig.dir.path().join("weights.bin"))
            .expect("the weights");
        let later = std::time::SystemTime::now() + Duration::from_secs(1);
        weights.set_modified(later).expect("they are written to");
        waiting.bring(&mut rig, SIDE / 2);
        let ended = rig.finish();
        if looks {
            assert!(ended.iter().all(|e| e.made.is_none()));
        } else {
            ended.iter().for_each(check);
        }
        // The worker goes on.
        rig.submit(ADD, 2);
        rig.finish().iter().for_each(check);
    }
}
