//! The values that simulated tasks compute.
//!
//! A task digests all values of its inputs' boxes, and every output value is a hash of that
//! digest, the task, the output and the position. So one wrong bit anywhere spoils everything
//! behind that bit, and the tail sees the error. A value has as many bits as its tensor's element type, stored
//! in a word of 32 bits; the simulator never treats values as numbers.

use super::{random::mix, watched_store::WatchedStore};
use tessera_plan::{element::ElementType, region::Region};
use tessera_protocol::{FrameId, Job, ProgramInfo, TaskId, store::SlotId};

/// Why a job's pieces are not the inputs and outputs of its task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PieceError {
    /// The job and its task differ in their number of inputs or outputs.
    #[error("{inputs} inputs and {outputs} outputs do not fit the task")]
    Ports {
        /// Inputs of the job.
        inputs: usize,
        /// Outputs of the job.
        outputs: usize,
    },
    /// A slot and its box differ in size.
    #[error("slot {slot:?} of {bytes} bytes does not hold box {region:?}")]
    Size {
        /// The slot.
        slot: SlotId,
        /// Length of the slot in bytes.
        bytes: usize,
        /// The box that the slot should hold.
        region: Region,
    },
    /// The pieces do not cover an input's box.
    #[error("input {input} is not covered at value {position} of box {region:?}")]
    Hole {
        /// Index of the input.
        input: usize,
        /// First value without a piece, counted in the input's box.
        position: usize,
        /// The input's box.
        region: Region,
    },
    /// Two pieces give different values for one position.
    #[error("pieces of input {input} disagree at value {position} of box {region:?}")]
    Disagree {
        /// Index of the input.
        input: usize,
        /// First value that the pieces disagree on, counted in the input's box.
        position: usize,
        /// The input's box.
        region: Region,
    },
}

/// The pixels of a frame: all `values` values of tensor 0.
pub fn frame_values(frame: FrameId, element: ElementType, values: usize) -> Vec<u32> {
    let id = u64::from(frame.source.0) << 32 | u64::from(frame.number.0);
    hashes(mix(frame.incarnation.0 ^ mix(id)), element, values)
}

/// Reads packed bytes as values.
pub fn unpack(bytes: &[u8], element: ElementType) -> impl Iterator<Item = u32> + '_ {
    bytes.chunks_exact(element.bytes()).map(|value| {
        let mut word = [0; 4];
        word[..value.len()].copy_from_slice(value);
        u32::from_le_bytes(word)
    })
}

/// Writes values over the whole of a slot, packed as `element`.
///
/// # Panics
/// If the slot's size differs from that of the values.
pub fn fill(bytes: &mut [u8], values: &[u32], element: ElementType) {
    assert_eq!(bytes.len(), values.len() * element.bytes(), "slot size");
    for (place, v) in bytes.chunks_exact_mut(element.bytes()).zip(values) {
        place.copy_from_slice(&v.to_le_bytes()[..place.len()]);
    }
}

/// Values of one output of a task, computed from its inputs' boxes, each box row by row.
pub fn output_values(
    task: TaskId,
    output: usize,
    digest: u64,
    element: ElementType,
    values: usize,
) -> Vec<u32> {
    let seed = mix(digest ^ mix(u64::from(task.0) << 16 | output as u64));
    hashes(seed, element, values)
}

/// Digest of the values of the inputs' boxes, in order.
pub fn digest(inputs: &[Vec<u32>]) -> u64 {
    let mut h = 0x51_7c_c1_b7_27_22_0a_95_u64;
    for input in inputs {
        h = mix(h ^ input.len() as u64);
        for &w in input {
            // Two differing words never lead to the same state.
            h = (h.rotate_left(23) ^ u64::from(w)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }
    mix(h)
}

fn hashes(seed: u64, element: ElementType, values: usize) -> Vec<u32> {
    let unused_bits = 64 - 8 * element.bytes();
    let at = |k: u64| (mix(seed.wrapping_add(k)) >> unused_bits) as u32;
    (0..values as u64).map(at).collect()
}

/// Gathers the inputs of a job: one vector per input, with the values of its box row by row.
///
/// # Errors
/// [`PieceError`] when the pieces do not cover the boxes or disagree.
pub fn gather(
    store: &WatchedStore,
    info: &ProgramInfo,
    job: &Job,
) -> Result<Vec<Vec<u32>>, PieceError> {
    let task = &info.tasks[job.task.index()];
    let made = || info.made(job.task).map(|(_, port)| port);
    if (task.inputs.len(), made().count()) != (job.inputs.len(), job.outputs.len()) {
        return Err(PieceError::Ports {
            inputs: job.inputs.len(),
            outputs: job.outputs.len(),
        });
    }
    for (&slot, port) in job.outputs.iter().zip(made()) {
        size(
            slot,
            store.job_bytes(slot),
            info.port_bytes(&port),
            port.region,
        )?;
    }
    let inputs = task.inputs.iter().zip(&job.inputs).enumerate();
    inputs
        .map(|(k, (port, pieces))| {
            let element = info.tensors[port.tensor as usize].element;
            gather_box(store, k, element, port.region, pieces)
        })
        .collect()
}

fn size(slot: SlotId, bytes: &[u8], expected: usize, region: Region) -> Result<(), PieceError> {
    if bytes.len() == expected {
        return Ok(());
    }
    Err(PieceError::Size {
        slot,
        bytes: bytes.len(),
        region,
    })
}

fn gather_box(
    store: &WatchedStore,
    input: usize,
    element: ElementType,
    want: Region,
    pieces: &[(SlotId, Region)],
) -> Result<Vec<u32>, PieceError> {
    let mut found: Vec<Option<u32>> = vec![None; want.len()];
    for &(slot, region) in pieces {
        let bytes = store.job_bytes(slot);
        let n = element.bytes();
        size(slot, bytes, region.len() * n, region)?;
        let part = region.meet(want);
        for (to, from, len) in runs(part, want, region) {
            let values = unpack(&bytes[from * n..(from + len) * n], element);
            for (k, (place, w)) in found[to..to + len].iter_mut().zip(values).enumerate() {
                if place.is_some_and(|p| p != w) {
                    return Err(PieceError::Disagree {
                        input,
                        position: to + k,
                        region: want,
                    });
                }
                *place = Some(w);
            }
        }
    }
    let hole = found.iter().position(Option::is_none);
    if let Some(position) = hole {
        return Err(PieceError::Hole {
            input,
            position,
            region: want,
        });
    }
    Ok(found.into_iter().flatten().collect())
}

/// Runs of neighbouring values of box `part`: `(index in box a, index in box b, values)`.
pub fn runs(part: Region, a: Region, b: Region) -> impl Iterator<Item = (usize, usize, usize)> {
    let n = part.ch();
    let at = move |r: Region, y: usize, x: usize| {
        ((y - r.y.lo) * r.w() + x - r.x.lo) * r.ch() + part.c.lo - r.c.lo
    };
    let rows = if part.is_empty() {
        0..0
    } else {
        part.y.lo..part.y.hi
    };
    rows.flat_map(move |y| (part.x.lo..part.x.hi).map(move |x| (at(a, y, x), at(b, y, x), n)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_plan::dataflow::SlotCount;
    use tessera_protocol::{FrameNumber, store::Store};

    const ALL: [ElementType; 3] = [ElementType::U8, ElementType::F16, ElementType::F32];

    fn piece(
        store: &mut WatchedStore,
        element: ElementType,
        region: Region,
        value: impl Fn(usize, usize) -> usize,
    ) -> (SlotId, Region) {
        let slot = store.alloc(element.bytes() * region.len()).unwrap();
        let mut words = Vec::new();
        for y in region.y.lo..region.y.hi {
            for x in region.x.lo..region.x.hi {
                words.extend((region.c.lo..region.c.hi).map(|c| (value(y, x) * 10 + c) as u32));
            }
        }
        fill(store.bytes_mut(slot), &words, element);
        (slot, region)
    }

    fn boxed(y: [usize; 2], x: [usize; 2]) -> Region {
        Region::new(y, x, [0, 2])
    }

    fn store() -> WatchedStore {
        let slots = SlotCount {
            bytes: 256,
            count: 8,
        };
        WatchedStore::new(&[slots], false)
    }

    #[test]
    fn pieces_are_put_together() {
        for element in ALL {
            let mut s = store();
            let value = |y, x| y * 10 + x;
            let left = piece(&mut s, element, boxed([0, 4], [0, 3]), value);
            let right = piece(&mut s, element, boxed([0, 4], [2, 5]), value);
            let want = boxed([1, 3], [1, 5]);
            let got = gather_box(&s, 0, element, want, &[left, right]).unwrap();
            let alone = piece(&mut s, element, want, value).0;
            assert_eq!(got, unpack(s.bytes(alone), element).collect::<Vec<_>>());
        }
    }

    #[test]
    fn holes_and_disagreements_are_found() {
        for element in ALL {
            let mut s = store();
            let value = |y, x| y * 10 + x;
            let left = piece(&mut s, element, boxed([0, 2], [0, 2]), value);
            let want = boxed([0, 2], [0, 3]);
            let hole = gather_box(&s, 0, element, want, &[left]);
            assert!(
                matches!(hole, Err(PieceError::Hole { position: 4, .. })),
                "{hole:?}"
            );
            let odd = |y, x| y * 10 + x + 1;
            let other = piece(&mut s, element, boxed([1, 2], [1, 3]), odd);
            let found = gather_box(&s, 0, element, want, &[left, other]);
            assert!(
                matches!(found, Err(PieceError::Disagree { position: 8, .. })),
                "{found:?}"
            );
        }
    }

    #[test]
    fn values_have_their_elements_width() {
        let frame = FrameId {
            source: tessera_protocol::NodeId(1),
            incarnation: tessera_protocol::Incarnation(1),
            number: FrameNumber(0),
        };
        for element in ALL {
            let values = frame_values(frame, element, 999);
            let bits = 8 * element.bytes() as u32;
            let used = values.iter().fold(0, |all, v| all | v);
            assert_eq!(used, u32::MAX >> (32 - bits));
            let mut bytes = vec![0; 999 * element.bytes()];
            fill(&mut bytes, &values, element);
            assert_eq!(unpack(&bytes, element).collect::<Vec<_>>(), values);
        }
    }

    #[test]
    fn every_word_counts() {
        let one = vec![vec![1, 2, 3], vec![4]];
        let base = digest(&one);
        for k in 0..3 {
            let mut two = one.clone();
            two[0][k] ^= 1 << 31;
            assert_ne!(base, digest(&two));
        }
        assert_ne!(base, digest(&[vec![1, 2], vec![3, 4]]));
    }
}
