//! Programs, slots and a network for the tests in here.

use std::collections::BTreeMap;

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

use super::{Micros, ProgramInfo};
use crate::store::{SlotId, Store};
use tessera_plan::{
    dataflow::{Port, TaskGraph, TaskInfo, TensorInfo},
    plan::ElementType,
    region::Region,
};

/// A box of rows and columns, all of `c` channels.
pub fn region(y: [usize; 2], x: [usize; 2], c: usize) -> Region {
    Region::new(y, x, [0, c])
}

/// Two stages over an `8n x 8n x 2` frame with a halo of one pixel: a grid of `n x n` tiles, then
/// `n` bands. The tail reads both stages' maps.
pub fn two_stages(n: usize) -> ProgramInfo {
    let side = 8 * n;
    let grown = |lo: usize, hi: usize| [lo.saturating_sub(1), (hi + 1).min(side)];
    let mut tasks = Vec::new();
    for i in 0..n {
        for j in 0..n {
            let (y, x) = ([8 * i, 8 * i + 8], [8 * j, 8 * j + 8]);
            tasks.push(TaskInfo {
                stage: 0,
                inputs: vec![Port {
                    tensor: 0,
                    region: region(grown(y[0], y[1]), grown(x[0], x[1]), 2),
                }],
                outputs: vec![Port {
                    tensor: 1,
                    region: region(y, x, 3),
                }],
                ..TaskInfo::default()
            });
        }
    }
    for i in 0..n {
        let y = [8 * i, 8 * i + 8];
        tasks.push(TaskInfo {
            stage: 1,
            inputs: vec![Port {
                tensor: 1,
                region: region(grown(y[0], y[1]), [0, side], 3),
            }],
            outputs: vec![Port {
                tensor: 2,
                region: region(y, [0, side], 2),
            }],
            ..TaskInfo::default()
        });
    }
    let tensors = [2, 3, 2].map(|c| TensorInfo {
        region: region([0, side], [0, side], c),
        element: ElementType::F32,
    });
    ProgramInfo {
        plan_hash: [7; 32],
        model_digest: [9; 32],
        graph: TaskGraph::new(tensors.to_vec(), tasks, vec![1, 2]).expect("a sound program"),
    }
}

/// Slots on the heap, any number of them.
#[derive(Debug, Default)]
pub struct Heap {
    slots: Vec<Option<Vec<u8>>>,
    /// Most slots at a time; 0 for any number.
    pub most: usize,
}

impl Heap {
    /// Slots in use.
    pub fn used(&self) -> usize {
        self.slots.iter().flatten().count()
    }
}

impl Store for Heap {
    fn alloc(&mut self, bytes: usize) -> Option<SlotId> {
        if self.most > 0 && self.used() >= self.most {
            return None;
        }
        let i = self.slots.iter().position(Option::is_none);
        let i = i.unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        // Not zeroes: whoever reads what was never written should notice.
        self.slots[i] = Some(vec![0xa5; bytes]);
        Some(SlotId(i as u32))
    }

    fn free(&mut self, slot: SlotId) {
        assert!(self.slots[slot.0 as usize].take().is_some(), "freed twice");
    }

    fn bytes(&self, slot: SlotId) -> &[u8] {
        self.slots[slot.0 as usize].as_ref().expect("a slot in use")
    }

    fn bytes_mut(&mut self, slot: SlotId) -> &mut [u8] {
        self.slots[slot.0 as usize].as_mut().expect("a slot in use")
    }
}

/// How a link treats datagrams: shares of 1000, and microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Link {
    pub loss: u32,
    pub duplicate: u32,
    pub delay: u64,
    pub jitter: u64,
}

/// Datagrams under way, delivered in the order of their seeded fates.
#[derive(Debug)]
pub struct Net<A> {
    rng: ChaCha8Rng,
    pub link: Link,
    under_way: BTreeMap<(Micros, u64), (A, Vec<u8>)>,
    count: u64,
}

impl<A: Copy> Net<A> {
    pub fn new(seed: u64, link: Link) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            link,
            under_way: BTreeMap::new(),
            count: 0,
        }
    }

    /// A number below `n`.
    pub fn draw(&mut self, n: u64) -> u64 {
        self.rng.next_u64() % n.max(1)
    }

    /// Takes a datagram to `to`.
    pub fn send(&mut self, now_us: Micros, to: A, bytes: &[u8]) {
        let copies = 1 + u64::from(self.draw(1000) < u64::from(self.link.duplicate));
        for _ in 0..copies {
            let at = now_us + self.link.delay + self.draw(self.link.jitter + 1);
            if self.draw(1000) >= u64::from(self.link.loss) {
                self.count += 1;
                self.under_way
                    .insert((at, self.count), (to, bytes.to_vec()));
            }
        }
    }

    /// When the next datagram arrives.
    pub fn next(&self) -> Option<Micros> {
        self.under_way.keys().next().map(|&(at, _)| at)
    }

    /// A datagram that has arrived by `now`.
    pub fn take(&mut self, now_us: Micros) -> Option<(A, Vec<u8>)> {
        let (&key, _) = self.under_way.iter().next()?;
        (key.0 <= now_us).then(|| self.under_way.remove(&key))?
    }
}
