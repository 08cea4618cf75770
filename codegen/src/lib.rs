//! Tessera's code generator: turns a plan and its model into the sources of a node crate.
//!
//! It knows how a plan becomes source; it decides nothing. Emitting does no I/O: files come back as bytes;
//! [`write_files`] alone touches a disk.
//! Same plan, same bytes.
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

use proc_macro2::TokenStream;
use quote::quote;
use sha2::{Digest, Sha256};
use tessera_plan::plan::{ConvKernel, Isa, Plan};
use tessera_planner::model::Model;

mod act;
mod cargo_toml;
mod chain;
mod drive;
mod format;
pub mod header;
pub mod kernel;
mod layer;
mod math;
pub mod names;
pub mod pack;
pub mod rounding;
mod table;
mod write;

pub use write::{WriteError, write_files};

use chain::ChainCx;
use names::ident;

/// Files of an emitted crate: path inside the crate -> content. Sorted, so that writing them is
/// deterministic.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What does not stand in the plan.
#[derive(Clone, Debug)]
pub struct EmitOptions {
    /// Path of the runtime crate, relative to the emitted one: `../../runtime`. The node crate lies in its
    /// folder `node`.
    pub runtime_path: String,
}

/// Why a plan cannot be emitted. A plan that passes its own check gives none of these.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The plan knows no such target.
    #[error("the plan has no target {target:?}")]
    UnknownTarget {
        /// What was asked for.
        target: String,
    },
    /// A hash is not 64 hex digits.
    #[error("{found:?} is no SHA-256 in hex")]
    Hash {
        /// What stands in the plan.
        found: String,
    },
    /// A tensor is used at a boundary but not listed there.
    #[error("tensor {tensor} crosses a boundary but is not listed in the plan's tensors")]
    Tensor {
        /// Number of the tensor.
        tensor: i32,
    },
    /// A tile names a chain class that does not exist.
    #[error("stage {stage} has no chain class {class}")]
    Class {
        /// Number of the stage.
        stage: usize,
        /// Index of the class.
        class: usize,
    },
    /// A chain breaks a rule.
    #[error("chain {chain}: broken rule: {rule}")]
    Chain {
        /// Name of the chain.
        chain: String,
        /// What should hold.
        rule: &'static str,
    },
    /// A step breaks a rule.
    #[error("step {step}: broken rule: {rule}")]
    Step {
        /// Name of the step.
        step: String,
        /// What should hold.
        rule: &'static str,
    },
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

/// Emits the node crate of `plan` for one of its targets.
///
/// # Errors
/// When the plan breaks a rule that its own check should have refused.
pub fn emit(
    plan: &Plan,
    model: &Model,
    target: &str,
    options: &EmitOptions,
) -> Result<Files, EmitError> {
    let mut out = Crate::new(target);
    let programs = out.program(&plan.name, plan, model, None)?;
    let description = format!("{} for {target}, planned by Tessera", plan.dataflow.model);
    out.files
        .insert("plan.toml".into(), plan.to_toml().into_bytes());
    out.finish(&plan.name, &description, &[programs], options)
}

/// Emits one crate that holds several programs, as modules that share kernels: many plans for one
/// build. `main` hands all of them to the runtime, which picks by `--program NAME`. The package is
/// called `name`.
///
/// # Errors
/// As [`emit`]; and when the programs' instruction sets differ or two share a name.
pub fn emit_bundle(
    name: &str,
    programs: &[(&str, &Plan, &Model)],
    target: &str,
    options: &EmitOptions,
) -> Result<Files, EmitError> {
    let mut out = Crate::new(target);
    let mut paths = Vec::new();
    for (i, (name, plan, model)) in programs.iter().enumerate() {
        let bad = || EmitError::Bundle {
            name: (*name).to_owned(),
        };
        if programs[..i].iter().any(|(other, ..)| other == name) {
            return Err(bad());
        }
        let module = format!("p{i}");
        paths.push(out.program(name, plan, model, Some(&module))?);
        out.files.insert(
            format!("plans/{}.toml", names::package(name)),
            plan.to_toml().into_bytes(),
        );
    }
    out.finish(name, "Several plans in one crate", &paths, options)
}

/// A crate in the making.
struct Crate<'a> {
    target: &'a str,
    files: Files,
    /// Modules of the crate's root.
    modules: BTreeSet<String>,
    kernels: BTreeSet<(ConvKernel, usize)>,
    isa: Option<Isa>,
    /// What Rust calls the target.
    triple: &'a str,
    /// Whether a program's weights are stored in half precision.
    halves: bool,
}

impl<'a> Crate<'a> {
    fn new(target: &'a str) -> Self {
        Self {
            target,
            files: Files::new(),
            modules: BTreeSet::new(),
            kernels: BTreeSet::new(),
            isa: None,
            triple: "",
            halves: false,
        }
    }

    /// Adds a program, at the root or in a module of its own; gives the path of its constant.
    fn program(
        &mut self,
        name: &str,
        plan: &'a Plan,
        model: &Model,
        module: Option<&str>,
    ) -> Result<TokenStream, EmitError> {
        let target = self.target;
        let tp = plan
            .target
            .get(target)
            .ok_or_else(|| EmitError::UnknownTarget {
                target: target.to_owned(),
            })?;
        if *self.isa.get_or_insert(tp.kernels) != tp.kernels {
            return Err(EmitError::Bundle {
                name: name.to_owned(),
            });
        }
        let (dir, root, path) = match module {
            None => ("src".to_owned(), quote!(crate), quote!(program::PROGRAM)),
            Some(m) => {
                let i = ident(m);
                (
                    format!("src/{m}"),
                    quote!(crate::#i),
                    quote!(#i::program::PROGRAM),
                )
            }
        };
        self.triple = &tp.triple;
        self.halves |= tp.packing.iter().any(|p| p.weights.is_f16());
        let cx = ChainCx {
            plan,
            graph: &model.graph,
            target,
            isa: tp.kernels,
            root,
        };
        let mut modules: BTreeSet<String> = ["program", "tail"].map(str::to_owned).into();

        for (s, classes) in tp.stages.iter().enumerate() {
            let stage = plan
                .dataflow
                .stages
                .get(s)
                .ok_or(EmitError::Class { stage: s, class: 0 })?;
            for (class, chain) in classes.iter().enumerate() {
                let tiles = stage.tiles.iter().filter(|t| t.class == class).count();
                let title = format!(
                    "Stage {s}, layers {}..{}, class {} of a {}x{} grid ({tiles} {}).",
                    stage.first_layer,
                    stage.end_layer,
                    chain.name,
                    stage.grid[0],
                    stage.grid[1],
                    if tiles == 1 { "tile" } else { "tiles" }
                );
                let m = chain::emit(&cx, chain, &title, &stage.inputs, &stage.outputs)?;
                self.kernels.extend(m.kernels);
                let path = format!("{dir}/s{s}/{}.rs", names::snake(&chain.name));
                self.add(path, &m.docs, m.tokens)?;
            }
            let list: Vec<_> = classes.iter().map(|c| ident(&c.name)).collect();
            let title = format!(
                "Stage {s}: layers {}..{} on a {}x{} grid; one module per chain class.",
                stage.first_layer, stage.end_layer, stage.grid[0], stage.grid[1]
            );
            let docs = header::docs(&title, plan, target);
            self.add(
                format!("{dir}/s{s}/mod.rs"),
                &docs,
                quote!(#(pub mod #list;)*),
            )?;
            modules.insert(format!("s{s}"));
        }
        let tail = &plan.dataflow.tail;
        let title = format!(
            "Tail: layers {}..{} on the gateway.",
            tail.first_layer, tail.end_layer
        );
        let m = chain::emit(&cx, &tp.tail, &title, &tail.inputs, &tail.outputs)?;
        self.kernels.extend(m.kernels);
        self.add(format!("{dir}/tail.rs"), &m.docs, m.tokens)?;

        let docs = header::docs("What the runtime must know of the model.", plan, target);
        let tokens = table::program(name, plan, model, target, tp)?;
        self.add(format!("{dir}/program.rs"), &docs, tokens)?;
        if !tp.packing.is_empty() {
            let docs = header::docs(
                "Where weights lie: float32 values behind the header of `weights.bin`.",
                plan,
                target,
            );
            self.add(format!("{dir}/layout.rs"), &docs, table::layout(tp))?;
            modules.insert("layout".to_owned());
        }
        match module {
            None => self.modules.extend(modules),
            Some(m) => {
                let list: Vec<_> = modules.iter().map(|m| ident(m)).collect();
                let docs = header::docs(&format!("Program {name}."), plan, target);
                self.add(format!("{dir}/mod.rs"), &docs, quote!(#(pub mod #list;)*))?;
                self.modules.insert(m.to_owned());
            }
        }
        Ok(path)
    }

    fn add(&mut self, path: String, docs: &[String], tokens: TokenStream) -> Result<(), EmitError> {
        let source = format::module(&path, docs, tokens)?;
        self.files.insert(path, source);
        Ok(())
    }

    /// Adds what the programs share, and the crate's frame.
    fn finish(
        mut self,
        name: &str,
        description: &str,
        programs: &[TokenStream],
        options: &EmitOptions,
    ) -> Result<Files, EmitError> {
        self.kernels()?;
        if let Some(math) = emit_math(&self.files, self.target)? {
            self.files.insert("src/math.rs".into(), math);
            self.modules.insert("math".to_owned());
        }
        self.modules.insert("kernels".to_owned());
        let list: Vec<_> = self.modules.iter().map(|m| ident(m)).collect();
        let docs = header::shared_docs(&format!("A node of {name}: edge or gateway."), self.target);
        let tokens = quote! {
            #(mod #list;)*
            fn main() -> std::process::ExitCode {
                tessera_node::main(&[#(&#programs),*])
            }
        };
        self.add("src/main.rs".into(), &docs, tokens)?;
        let content = digest(&self.files);
        self.files.insert(
            "Cargo.toml".into(),
            cargo_toml::text(name, &content, description, &options.runtime_path).into_bytes(),
        );
        self.files.insert(
            SETTINGS.into(),
            cargo_toml::settings(self.triple).into_bytes(),
        );
        self.files
            .insert(".gitignore".into(), b"/target\nweights.bin\n".to_vec());
        Ok(self.files)
    }

    /// `src/kernels`, with what the programs use.
    fn kernels(&mut self) -> Result<(), EmitError> {
        let isa = self.isa.unwrap_or(Isa::Portable);
        let kernels = std::mem::take(&mut self.kernels);
        let mut call = kernel::call(isa);
        if self.halves {
            call.extend(kernel::widen(isa));
        }
        let files = kernel_files(&kernels, isa, self.target, "src/kernels", call)?;
        self.files.extend(files);
        Ok(())
    }
}

/// The first 12 hex digits of the SHA-256 of all files.
fn digest(files: &Files) -> String {
    let mut hash = Sha256::new();
    for (path, bytes) in files {
        for part in [path.as_bytes(), bytes] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    let digits = hash.finalize();
    hex::encode(&digits[..6])
}

/// Emits kernels alone, each with its number of existing channels: one file per kernel under `dir`,
/// and its `mod.rs` with the processor check. Kernels may call functions of `crate::math`: see
/// [`emit_math`].
///
/// # Errors
/// When two different kernels have the same name.
pub fn emit_kernels(
    kernels: &BTreeSet<(ConvKernel, usize)>,
    isa: Isa,
    target: &str,
    dir: &str,
) -> Result<Files, EmitError> {
    kernel_files(kernels, isa, target, dir, TokenStream::new())
}

/// As [`emit_kernels`]; `more` stands in `mod.rs` and may call `assert_cpu`.
fn kernel_files(
    kernels: &BTreeSet<(ConvKernel, usize)>,
    isa: Isa,
    target: &str,
    dir: &str,
    more: TokenStream,
) -> Result<Files, EmitError> {
    let mut by_name = BTreeMap::new();
    for (k, lanes) in kernels {
        let name = kernel::name(k, isa, *lanes);
        if by_name.insert(name.clone(), (k, *lanes)).is_some() {
            return Err(EmitError::KernelName { name });
        }
    }
    let mut files = Files::new();
    for (name, (k, lanes)) in &by_name {
        let docs = header::shared_docs(&format!("Microkernel `{name}`."), target);
        let path = format!("{dir}/{name}.rs");
        let source = format::module(&path, &docs, kernel::conv(k, isa, *lanes))?;
        files.insert(path, source);
        for (end, text) in kernel::assembly(k, isa, *lanes) {
            let head: String = docs.iter().map(|line| format!("@ {line}\n")).collect();
            files.insert(format!("{dir}/{name}{end}.S"), (head + &text).into_bytes());
        }
    }
    // Winograd kernels are called by the path of their module, which has two functions.
    let (direct, modules): (Vec<_>, Vec<_>) = by_name
        .iter()
        .partition(|(_, (k, _))| k.algorithm.is_direct());
    let list: Vec<_> = direct.iter().map(|(n, _)| ident(n)).collect();
    let modules: Vec<_> = modules.iter().map(|(n, _)| ident(n)).collect();
    let check = kernel::check_cpu(isa);
    let assert = if by_name.is_empty() && more.is_empty() {
        TokenStream::new()
    } else {
        kernel::assert_cpu(isa)
    };
    let docs = header::shared_docs(
        "Microkernels: one row of pixels, one block of channels.",
        target,
    );
    let (body, mut uses) = (more.to_string(), TokenStream::new());
    if body.contains("_mm256_cvtph_ps") {
        uses.extend(quote!(
            use std::arch::x86_64::{_mm_loadu_si128, _mm256_cvtph_ps, _mm256_storeu_ps};
        ));
    }
    if body.contains("TaskIo") {
        uses.extend(quote!(
            use tessera_runtime::io::TaskIo;
        ));
    }
    let tokens = quote! {
        #uses
        #(mod #list;)*
        #(pub mod #modules;)*
        #(pub use #list::#list;)*
        #check
        #assert
        #more
    };
    let path = format!("{dir}/mod.rs");
    let source = format::module(&path, &docs, tokens)?;
    files.insert(path, source);
    Ok(files)
}

/// Emits `src/math.rs` with the functions that `files` call, if any.
///
/// # Errors
/// Only by an error of this crate.
pub fn emit_math(files: &Files, target: &str) -> Result<Option<Vec<u8>>, EmitError> {
    let sources = files.values().filter_map(|f| std::str::from_utf8(f).ok());
    let Some((docs, tokens)) = math::select(sources) else {
        return Ok(None);
    };
    let docs = header::shared_docs(&docs[0], target);
    format::module("src/math.rs", &docs, tokens).map(Some)
}
