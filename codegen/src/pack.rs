//! `weights.bin`: folded weights in the order the emitted layers read them.
//! Its header: [`tessera_plan::files::weights`].
//!
//! Layouts of tensors: [`Packing`]; halves lie two in a float32 value's place. Nothing is held in memory but
//! one block of one layer; every value is made twice, once for the digests.

use std::io::{self, Write};

use sha2::{Digest, Sha256};
use tessera_plan::{
    files::weights::{Header, SectionEntry, UnwritableHeader},
    graph::{Graph, NodeWeights, Op, WeightSource},
    kernel::winograd::GAP,
    plan::{Packing, Plan, Section, TargetPlan, WeightFormat},
};
use tessera_planner::model::Model;

use crate::kernel::winograd::transform;

/// Why weights cannot be packed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The model was read without weights.
    #[error("the model has no weights: plan with a weights file to pack them")]
    NoWeights,
    /// The plan knows no such target.
    #[error("the plan has no target {target:?}")]
    UnknownTarget {
        /// What was asked for.
        target: String,
    },
    /// The plan's sections do not fit a header.
    #[error(transparent)]
    Header(#[from] UnwritableHeader),
    /// Plan and model disagree.
    #[error("weights of {name}: the plan gives {expected} values, the model's fill {found}")]
    Size {
        /// Name of the node.
        name: String,
        /// What the plan says.
        expected: usize,
        /// What the model's weights need.
        found: usize,
    },
    /// A weight is too large for half precision.
    #[error(
        "{name}: a weight of {value} cannot be stored in half precision (at most 65504); leave out --weights-format f16"
    )]
    Half {
        /// Name of the node.
        name: String,
        /// The weight.
        value: f32,
    },
    /// A packing lies outside of its section or overlaps another.
    #[error("weights of {name} do not lie in order inside their section")]
    Place {
        /// Name of the node.
        name: String,
    },
    /// A plan names a node that has no weights.
    #[error("{name} has no weights in this model")]
    NoNodeWeights {
        /// Name of the node.
        name: String,
    },
    /// The model digest in the plan is no SHA-256 in hex.
    #[error("the plan's model digest {digest:?} is not 64 hex digits")]
    Digest {
        /// What stands in the plan.
        digest: String,
    },
    /// Writing failed.
    #[error("writing weights")]
    Io(#[from] io::Error),
}

/// Writes `weights.bin` of `target`.
///
/// # Errors
/// When the model has no weights, plan and model disagree, or `out` fails.
pub fn write(
    plan: &Plan,
    model: &Model,
    target: &str,
    out: &mut impl Write,
) -> Result<(), PackError> {
    let tp = plan
        .target
        .get(target)
        .ok_or_else(|| PackError::UnknownTarget {
            target: target.to_owned(),
        })?;
    let weights = model.weights.as_ref().ok_or(PackError::NoWeights)?;
    let digest = crate::table::hex32(&plan.dataflow.digest).ok_or_else(|| PackError::Digest {
        digest: plan.dataflow.digest.clone(),
    })?;

    let mut header = Header {
        model_digest: digest,
        sections: Vec::with_capacity(tp.sections.len()),
    };
    for (i, s) in tp.sections.iter().enumerate() {
        let mut hash = Hasher(Sha256::new());
        section(tp, i, &model.graph, weights, &mut hash)?;
        header.sections.push(SectionEntry {
            name: s.name.clone(),
            offset: s.offset as u64,
            floats: s.floats as u64,
            digest: hash.0.finalize().into(),
        });
    }
    out.write_all(&header.to_bytes()?[..])?;

    let mut at = 0;
    for (i, s) in tp.sections.iter().enumerate() {
        zeros(out, s.offset.checked_sub(at).ok_or_else(|| place(&s.name))?)?;
        section(tp, i, &model.graph, weights, out)?;
        at = s.offset + s.floats;
    }
    out.flush()?;
    Ok(())
}

/// Feeds what is written to SHA-256.
struct Hasher(Sha256);

impl Write for Hasher {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.update(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn place(name: &str) -> PackError {
    PackError::Place {
        name: name.to_owned(),
    }
}

/// Writes the bytes of section `i`, gaps as zeros.
fn section(
    tp: &TargetPlan,
    i: usize,
    graph: &Graph,
    weights: &[Option<NodeWeights>],
    out: &mut impl Write,
) -> Result<(), PackError> {
    let Section { offset, floats, .. } = tp.sections[i];
    let mut members: Vec<&Packing> = tp.packing.iter().filter(|p| p.section == i).collect();
    members.sort_by_key(|p| p.offset);
    let mut at = offset;
    for p in members {
        zeros(out, p.offset.checked_sub(at).ok_or_else(|| place(&p.name))?)?;
        let mut sink = Sink {
            out,
            buf: Vec::new(),
            written: 0,
        };
        tensor(p, graph, weights, &mut sink)?;
        let found = sink.written + sink.buf.len();
        sink.flush()?;
        if found != p.floats {
            return Err(PackError::Size {
                name: p.name.clone(),
                expected: p.floats,
                found,
            });
        }
        at = p.offset + p.floats;
    }
    let tail = (offset + floats).checked_sub(at);
    zeros(out, tail.ok_or_else(|| place(&tp.sections[i].name))?)
}

fn zeros(out: &mut impl Write, floats: usize) -> Result<(), PackError> {
    const CHUNK: [u8; 4096] = [0; 4096];
    let mut bytes = floats * 4;
    while bytes > 0 {
        let n = bytes.min(CHUNK.len());
        out.write_all(&CHUNK[..n])?;
        bytes -= n;
    }
    Ok(())
}

/// Collects values and writes them in chunks.
struct Sink<'a, W> {
    out: &'a mut W,
    buf: Vec<f32>,
    written: usize,
}

impl<W: Write> Sink<'_, W> {
    fn extend(&mut self, values: impl Iterator<Item = f32>) -> Result<(), PackError> {
        self.buf.extend(values);
        if self.buf.len() >= 1 << 16 {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Values in half precision, two in the place of one; a last one without a second beside zero.
    fn halves(
        &mut self,
        mut values: impl Iterator<Item = f32>,
        name: &str,
    ) -> Result<(), PackError> {
        let half = |value: f32| match half::f16::from_f32(value) {
            h if h.is_finite() => Ok(u32::from(h.to_bits())),
            _ => Err(PackError::Half {
                name: name.to_owned(),
                value,
            }),
        };
        while let Some(low) = values.next() {
            let (low, high) = (half(low)?, half(values.next().unwrap_or(0.0))?);
            self.extend([f32::from_bits(low | high << 16)].into_iter())?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), PackError> {
        let mut bytes = Vec::with_capacity(self.buf.len() * 4);
        for v in &self.buf {
            bytes.extend_from_slice(&v.to_le_bytes());
        }
        self.out.write_all(&bytes)?;
        self.written += self.buf.len();
        self.buf.clear();
        Ok(())
    }
}

/// The packed values of one node.
fn tensor<W: Write>(
    p: &Packing,
    graph: &Graph,
    weights: &[Option<NodeWeights>],
    out: &mut Sink<W>,
) -> Result<(), PackError> {
    let missing = || PackError::NoNodeWeights {
        name: p.name.clone(),
    };
    let node = graph.nodes.get(p.node).ok_or_else(missing)?;
    let own = weights.get(p.node).and_then(Option::as_ref);
    let cout = node.shape.c;
    let input = node
        .inputs
        .first()
        .map(|t| graph.shape(*t))
        .ok_or_else(missing)?;
    let check = |w: &NodeWeights, factors: usize, addends: usize| {
        if (w.weights.len(), w.bias.len()) == (factors, addends) {
            Ok(())
        } else {
            Err(PackError::Size {
                name: p.name.clone(),
                expected: factors + addends,
                found: w.weights.len() + w.bias.len(),
            })
        }
    };
    match &node.op {
        Op::Conv(c) => {
            let blur;
            let w = match (own, c.source) {
                (Some(w), _) => w,
                (None, WeightSource::Blur) => {
                    blur = binomial(c.size, cout);
                    &blur
                }
                _ => return Err(missing()),
            };
            let groups = c.groups.max(1);
            let (cin, per_group, taps) = (input.c / groups, cout / groups, c.size * c.size);
            check(w, cout * cin * taps, cout)?;
            let nr = p.nr.max(1);
            // A depthwise kernel's blocks run over all channels, one input channel each.
            let (groups, per_group) = if cin == 1
                && per_group == 1
                && groups > 1
                && p.floats == blocks(cout, nr) * nr * (1 + taps)
            {
                (1, cout)
            } else {
                (groups, per_group)
            };
            for g in 0..groups {
                for first in (0..per_group).step_by(nr) {
                    let lanes = |lane: usize| {
                        (first + lane < per_group).then_some(g * per_group + first + lane)
                    };
                    out.extend((0..nr).map(|l| lanes(l).map_or(0.0, |o| w.bias[o])))?;
                    let of = |l: usize, ci: usize| {
                        lanes(l).map(|o| &w.weights[(o * cin + ci) * taps..][..taps])
                    };
                    let trained =
                        |i: usize| (0..nr).map(move |l| of(l, i % cin).map_or(0.0, |w| w[i / cin]));
                    match p.weights {
                        WeightFormat::F32 => {
                            for i in 0..taps * cin {
                                out.extend(trained(i))?;
                            }
                        }
                        WeightFormat::F16 => {
                            for i in 0..taps * cin {
                                out.halves(trained(i), &p.name)?;
                            }
                        }
                        WeightFormat::Transformed { m, depth } => {
                            transformed(m, [cin, depth], nr, of, out)?;
                        }
                    }
                }
            }
        }
        Op::Connected { .. } => {
            let w = own.ok_or_else(missing)?;
            let n = input.len();
            check(w, cout * n, cout)?;
            out.extend(w.bias.iter().copied())?;
            for y in 0..input.h {
                for x in 0..input.w {
                    for c in 0..input.c {
                        let flat = (c * input.h + y) * input.w + x;
                        out.extend((0..cout).map(|o| w.weights[o * n + flat]))?;
                    }
                }
            }
        }
        Op::Local { size, .. } => {
            let w = own.ok_or_else(missing)?;
            let (cells, taps) = (node.shape.h * node.shape.w, size * size);
            check(w, cells * cout * input.c * taps, cells * cout)?;
            for cell in 0..cells {
                out.extend((0..cout).map(|o| w.bias[o * cells + cell]))?;
            }
            for cell in 0..cells {
                for tap in 0..taps {
                    for ci in 0..input.c {
                        out.extend(
                            (0..cout).map(|o| {
                                w.weights[((cell * cout + o) * input.c + ci) * taps + tap]
                            }),
                        )?;
                    }
                }
            }
        }
        _ => {
            let w = own.ok_or_else(missing)?;
            out.extend(w.weights.iter().chain(&w.bias).copied())?;
        }
    }
    Ok(())
}

/// `G g G^T` of a block of `nr` output channels: per part of `depth` input channels, per point, per input
/// channel. `of(lane, channel)` are the nine weights of a pair, if there is one. Computed in double
/// precision, rounded once.
#[expect(clippy::cast_possible_truncation, reason = "rounded once, here")]
fn transformed<'a, W: Write>(
    m: usize,
    [cin, depth]: [usize; 2],
    nr: usize,
    of: impl Fn(usize, usize) -> Option<&'a [f32]>,
    out: &mut Sink<W>,
) -> Result<(), PackError> {
    let g = transform::weights_matrix(m);
    let dot = |row: &[f64; 3], x: [f64; 3]| row[0] * x[0] + row[1] * x[1] + row[2] * x[2];
    for first in (0..cin).step_by(depth) {
        let part = first..cin.min(first + depth);
        for rows in &g {
            // G's row by the weights: a row of three.
            let halfway: Vec<[f64; 3]> = part
                .clone()
                .flat_map(|ci| (0..nr).map(move |l| (l, ci)))
                .map(|(l, ci)| {
                    let w = of(l, ci);
                    std::array::from_fn(|kx| {
                        w.map_or(0.0, |w| {
                            dot(rows, [0, 3, 6].map(|ky| f64::from(w[ky + kx])))
                        })
                    })
                })
                .collect();
            for columns in &g {
                let point = halfway.iter().map(|x| dot(columns, *x) as f32);
                out.extend(point.chain([0.0; GAP]))?;
            }
        }
    }
    Ok(())
}

const fn blocks(channels: usize, nr: usize) -> usize {
    channels.div_ceil(nr)
}

/// The blur of `antialiasing` (`docs/darknet.md#antialiasing`): binomial 3x3, or the mean of 2x2; one per channel.
fn binomial(size: usize, channels: usize) -> NodeWeights {
    let row: &[f32] = match size {
        3 => &[0.25, 0.5, 0.25],
        2 => &[0.5, 0.5],
        _ => &[1.0],
    };
    let kernel = row.iter().flat_map(|a| row.iter().map(move |b| a * b));
    NodeWeights {
        weights: kernel.collect::<Vec<_>>().repeat(channels),
        bias: vec![0.0; channels],
    }
}
