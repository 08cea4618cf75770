//! `weights.bin`: folded weights in the order the emitted layers read them.
//! Its header: [`tessera_plan::files::weights`].
//!
//! Layouts of tensors: [`Packing`]; halves lie two in a float32 value's place. Nothing is held in memory but
//! one block of one layer; every value is made twice, once for the digests.

mod sink;
mod tensor;
mod transformed;

use std::io::{self, Write};

use sha2::{Digest, Sha256};
use tessera_plan::{
    check::{CheckError, check},
    files::weights::{Header, SectionEntry, UnwritableHeader},
    graph::{Graph, NodeWeights},
    plan::{Packing, Plan, TargetPlan},
};

use crate::names::hex32;
use sink::{Hasher, Sink, zeros};

/// Why weights cannot be packed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The plan breaks a rule of [`tessera_plan::check`].
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The plan knows no such target.
    #[error("the plan has no target {target:?}")]
    UnknownTarget {
        /// What was asked for.
        target: String,
    },
    /// The plan's sections do not fit a header.
    #[error(transparent)]
    Header(#[from] UnwritableHeader),
    /// Plan and weights disagree.
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
    /// Writing failed.
    #[error("writing weights")]
    Io(#[from] io::Error),
}

/// Writes `weights.bin` of `target` to `out`: `weights` are the model's folded weights, one entry per node of
/// the plan's network.
///
/// # Errors
/// When the plan breaks a rule or has no such target, `weights` are not those of its network, or `out` fails.
pub fn write(
    plan: &Plan,
    weights: &[Option<NodeWeights>],
    target: &str,
    out: &mut impl Write,
) -> Result<(), PackError> {
    check(plan)?;
    let parts = plan
        .target
        .get(target)
        .ok_or_else(|| PackError::UnknownTarget {
            target: target.to_owned(),
        })?;
    let file = File {
        network: &plan.network,
        parts,
        weights,
    };
    let header = file.header(hex32(&plan.dataflow.digest))?;
    out.write_all(&header.to_bytes()?[..])?;
    let mut at = 0;
    for (i, s) in parts.sections.iter().enumerate() {
        zeros(out, s.offset.checked_sub(at).ok_or_else(|| place(&s.name))?)?;
        file.section(i, out)?;
        at = s.offset + s.floats;
    }
    out.flush()?;
    Ok(())
}

fn place(name: &str) -> PackError {
    PackError::Place {
        name: name.to_owned(),
    }
}

/// What the file is made of.
struct File<'a> {
    network: &'a Graph,
    parts: &'a TargetPlan,
    weights: &'a [Option<NodeWeights>],
}

impl File<'_> {
    /// The file's header.
    fn header(&self, model_digest: [u8; 32]) -> Result<Header, PackError> {
        let mut sections = Vec::with_capacity(self.parts.sections.len());
        for (i, s) in self.parts.sections.iter().enumerate() {
            let mut hash = Hasher(Sha256::new());
            self.section(i, &mut hash)?;
            sections.push(SectionEntry {
                name: s.name.clone(),
                offset: s.offset as u64,
                floats: s.floats as u64,
                digest: hash.0.finalize().into(),
            });
        }
        Ok(Header {
            model_digest,
            sections,
        })
    }

    /// The bytes of section `i`, gaps as zeros.
    fn section(&self, i: usize, out: &mut impl Write) -> Result<(), PackError> {
        let s = &self.parts.sections[i];
        let packing = self.parts.packing.iter();
        let mut members: Vec<&Packing> = packing.filter(|p| p.section == i).collect();
        members.sort_by_key(|p| p.offset);
        let mut at = s.offset;
        for p in members {
            zeros(out, p.offset.checked_sub(at).ok_or_else(|| place(&p.name))?)?;
            let mut sink = Sink::new(out);
            tensor::write(p, self.network, self.weights, &mut sink)?;
            let found = sink.finish()?;
            if found != p.floats {
                return Err(PackError::Size {
                    name: p.name.clone(),
                    expected: p.floats,
                    found,
                });
            }
            at = p.offset + p.floats;
        }
        let rest = (s.offset + s.floats).checked_sub(at);
        zeros(out, rest.ok_or_else(|| place(&s.name))?)
    }
}
