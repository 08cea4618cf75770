//! `cargo xtask bench`: measures a plan on this machine.
//!
//! There are four measurements: a plan alone, layer by layer, in one process ([`alone`]); the comparison with
//! other engines ([`peers`]); and executed instructions, which do not depend on the load of the machine
//! ([`instructions`]); and what sessions cost ([`seal`]).

use anyhow::Result;

use crate::flags::BenchArgs;

mod alone;
pub mod instructions;
mod node;
mod peers;
mod profile;
mod seal;
mod subject;
mod times;

/// Runs the command.
///
/// # Errors
/// When the model cannot be planned or compiled, or the measured program fails.
pub fn run(args: &BenchArgs) -> Result<()> {
    if args.seal {
        return seal::run();
    }
    let Some(model) = &args.model else {
        return instructions::run(&args.into());
    };
    if args.instructions {
        return instructions::one(args, model);
    }
    match &args.peers {
        Some(python) => peers::run(args, model, python.as_deref()),
        None => alone::run(args, model),
    }
}
