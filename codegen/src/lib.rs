//! Tessera's code generator: turns a plan into the sources of a node crate, and packs its weights.
//!
//! It knows how a plan becomes source; it decides nothing: all it needs stands in the plan. Emitting does no I/O:
//! files come back as bytes; [`write_files`] alone touches a disk. Same plan, same bytes.
//!
//! ```text
//! Cargo.toml  plan.toml  src/main.rs      a node: edge or gateway
//!             src/program.rs              what the runtime must know of the model
//!             src/layout.rs               where weights lie in weights.bin
//!             src/s0/r0_c0.rs ...         one module per stage, one file per chain class
//!             src/tail.rs                 what the gateway computes
//!             src/kernels/*.rs            the microkernels, each once
//!             src/math.rs                 scalar functions of the layers
//!             .cargo/config.toml          how it is linked
//! ```
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use tessera_plan::{
    check::CheckError,
    plan::{ConvKernel, Isa, Plan},
};
use tessera_plan_text::PlanText;

mod act;
mod cargo_toml;
mod chain;
mod cpu;
mod format;
pub mod header;
pub mod kernel;
mod layer;
mod math;
mod module;
pub mod names;
pub mod pack;
mod package;
mod program;
pub mod rounding;
mod scope;
mod uses;
mod write;

use package::Package;
pub use write::{WriteError, write_files};

/// Files of an emitted crate: path inside the crate -> content. Sorted, so that writing them is
/// deterministic.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What emission needs beside a plan.
#[derive(Clone, Debug)]
pub struct EmitOptions {
    /// Path of the runtime crate, relative to the emitted one: `../../runtime`. The node crate lies in its
    /// folder `node`.
    pub runtime_path: String,
}

/// Why a plan cannot be emitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The plan has no such target.
    #[error("the plan has no target {target:?}; it has {known}")]
    UnknownTarget {
        /// The target that the caller named.
        target: String,
        /// The plan's targets.
        known: String,
    },
    /// The plan breaks a rule of [`tessera_plan::check`].
    #[error(transparent)]
    Check(#[from] CheckError),
    /// Two programs of a bundle do not go together.
    #[error("programs of a bundle need one instruction set and different names: {name}")]
    Bundle {
        /// The program that does not fit.
        name: String,
    },
    /// Two different kernels have the same name.
    #[error("two different kernels are called {name}")]
    KernelName {
        /// The name.
        name: String,
    },
    /// Emitted tokens are no Rust: an error of this crate.
    #[error("{path} is not valid Rust: an error of the code generator")]
    Syntax {
        /// The file.
        path: String,
        /// What the parser says.
        source: syn::Error,
    },
}

/// Path of the settings that an emitted crate is built with: for `cargo --config`, where cargo is called
/// from another folder.
pub const SETTINGS: &str = ".cargo/config.toml";

/// Emits the node crate of `plan` for its target `target`.
///
/// The plan may come from anywhere: it is checked first.
///
/// # Errors
/// When the plan breaks a rule of [`tessera_plan::check`] or has no such target.
pub fn emit(plan: &Plan, target: &str, options: &EmitOptions) -> Result<Files, EmitError> {
    let mut package = Package::new(target);
    let program = package.program(&plan.name, plan, None)?;
    let description = format!("{} for {target}, planned by Tessera", plan.network.name);
    package.file("plan.toml", plan.to_toml().into_bytes());
    package.finish(&plan.name, &description, &[program], options)
}

/// Emits one crate that holds several programs, as modules that share kernels: many plans for one
/// build. `main` hands all of them to the runtime, which picks by `--program NAME`. The package is
/// called `name`; `programs` are names and plans.
///
/// # Errors
/// As [`emit`]; and when the programs' instruction sets differ or two share a name.
pub fn emit_bundle(
    name: &str,
    programs: &[(&str, &Plan)],
    target: &str,
    options: &EmitOptions,
) -> Result<Files, EmitError> {
    let mut package = Package::new(target);
    let mut paths = Vec::new();
    for (i, (name, plan)) in programs.iter().enumerate() {
        if programs[..i].iter().any(|(other, _)| other == name) {
            return Err(EmitError::Bundle {
                name: (*name).to_owned(),
            });
        }
        paths.push(package.program(name, plan, Some(&format!("p{i}")))?);
        let path = format!("plans/{}.toml", names::package(name));
        package.file(&path, plan.to_toml().into_bytes());
    }
    package.finish(name, "Several plans in one crate", &paths, options)
}

/// Kernels without a program around them.
#[derive(Clone, Debug)]
pub struct Kernels {
    /// One file per kernel, with its assembly where it has any, and `mod.rs` with the processor check.
    pub files: Files,
    /// `math.rs`, the module `crate::math` that kernels call; `None` if none calls it.
    pub math: Option<Vec<u8>>,
}

/// Emits kernels alone, each with its number of existing channels, into the folder `dir`.
///
/// # Errors
/// When two different kernels have the same name.
pub fn emit_kernels(
    kernels: &BTreeSet<(ConvKernel, usize)>,
    isa: Isa,
    target: &str,
    dir: &str,
) -> Result<Kernels, EmitError> {
    let mut package = Package::new(target);
    package.kernels(kernels, isa, dir, &[])?;
    Ok(Kernels {
        math: package.math()?,
        files: package.into_files(),
    })
}
