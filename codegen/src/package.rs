//! An emitted crate in the making.

use std::collections::BTreeSet;

use proc_macro2::TokenStream;
use quote::quote;
use sha2::{Digest, Sha256};
use tessera_plan::{
    check::check,
    plan::{ConvKernel, Isa, Plan, Stage},
};

use crate::{
    EmitError, EmitOptions, Files, SETTINGS, cargo_toml, chain, header, kernel, math,
    module::Module,
    names::{ident, snake},
    program,
    scope::Scope,
    uses::Uses,
};

/// Files, and what they have in common.
pub(crate) struct Package<'a> {
    target: &'a str,
    files: Files,
    /// Modules of the crate's root.
    modules: BTreeSet<String>,
    /// Kernels that programs call, with the number of existing channels of each.
    kernels: BTreeSet<(ConvKernel, usize)>,
    /// Scalar functions that modules call.
    math: BTreeSet<String>,
    isa: Option<Isa>,
    /// What Rust calls the target.
    triple: &'a str,
    /// Whether a program's weights are stored in half precision.
    halves: bool,
}

/// Where a program's modules lie.
struct Place {
    /// Folder: `src` or `src/p0`.
    dir: String,
    /// Modules in it.
    modules: BTreeSet<String>,
}

impl<'a> Package<'a> {
    /// An empty crate.
    pub fn new(target: &'a str) -> Self {
        Self {
            target,
            files: Files::new(),
            modules: BTreeSet::new(),
            kernels: BTreeSet::new(),
            math: BTreeSet::new(),
            isa: None,
            triple: "",
            halves: false,
        }
    }

    /// Adds a file that is no module.
    pub fn file(&mut self, path: &str, content: Vec<u8>) {
        self.files.insert(path.to_owned(), content);
    }

    /// What was added so far.
    pub fn into_files(self) -> Files {
        self.files
    }

    /// Adds a program, at the root or in a module of its own; gives the path of its constant.
    ///
    /// # Errors
    /// When the plan breaks a rule, or does not fit the crate.
    pub fn program(
        &mut self,
        name: &str,
        plan: &'a Plan,
        module: Option<&str>,
    ) -> Result<TokenStream, EmitError> {
        check(plan)?;
        let scope = self.scope(name, plan, module)?;
        let mut place = Place {
            dir: module.map_or_else(|| "src".into(), |m| format!("src/{m}")),
            modules: BTreeSet::new(),
        };
        for (s, stage) in plan.dataflow.stages.iter().enumerate() {
            self.stage(&scope, &mut place, s, stage)?;
        }
        self.tail(&scope, &mut place)?;
        self.add_to(&mut place, "program", program::module(&scope, name))?;
        if let Some(layout) = program::layout(&scope) {
            self.add_to(&mut place, "layout", layout)?;
        }
        if let Some(scales) = program::scales(&scope) {
            self.add_to(&mut place, "scales", scales)?;
        }
        let Some(module) = module else {
            self.modules.extend(place.modules);
            return Ok(quote!(program::PROGRAM));
        };
        let docs = header::docs(&format!("Program {name}."), plan, self.target);
        let path = format!("{}/mod.rs", place.dir);
        self.add(&path, list(docs, place.modules.iter().map(String::as_str)))?;
        self.modules.insert(module.to_owned());
        let module = ident(module);
        Ok(quote!(#module::program::PROGRAM))
    }

    /// What the program's modules share.
    fn scope(
        &mut self,
        name: &str,
        plan: &'a Plan,
        module: Option<&str>,
    ) -> Result<Scope<'a>, EmitError> {
        let parts = plan
            .target
            .get(self.target)
            .ok_or_else(|| EmitError::UnknownTarget {
                target: self.target.to_owned(),
                known: plan.target.keys().cloned().collect::<Vec<_>>().join(", "),
            })?;
        if *self.isa.get_or_insert(parts.kernels) != parts.kernels {
            return Err(EmitError::Bundle {
                name: name.to_owned(),
            });
        }
        self.triple = &parts.triple;
        self.halves |= parts.packing.iter().any(|p| p.weights.is_f16());
        Ok(Scope {
            plan,
            target: self.target,
            parts,
            isa: parts.kernels,
            root: module.map_or_else(|| "crate".into(), |m| format!("crate::{m}")),
        })
    }

    /// Adds a stage: a file per chain class, and their list.
    fn stage(
        &mut self,
        scope: &Scope,
        place: &mut Place,
        number: usize,
        stage: &Stage,
    ) -> Result<(), EmitError> {
        let (first, end, [rows, cols]) = (stage.first_layer, stage.end_layer, stage.grid);
        let classes = &scope.parts.stages[number];
        for (class, chain) in classes.iter().enumerate() {
            let tiles = stage.tiles.iter().filter(|t| t.class == class).count();
            let title = format!(
                "Stage {number}, layers {first}..{end}, class {} of a {rows}x{cols} grid ({tiles} {}).",
                chain.name,
                if tiles == 1 { "tile" } else { "tiles" }
            );
            // Tasks that make strips alone make nothing of the stage's outputs.
            let alone = stage
                .tiles
                .iter()
                .any(|t| t.class == class && t.instead_of.is_some());
            let outputs: &[_] = if alone { &[] } else { &stage.outputs };
            let (module, kernels) = chain::emit(scope, chain, [&stage.inputs, outputs], &title);
            self.kernels.extend(kernels);
            let path = format!("{}/s{number}/{}.rs", place.dir, snake(&chain.name));
            self.add(&path, module)?;
        }
        let title = format!(
            "Stage {number}: layers {first}..{end} on a {rows}x{cols} grid; one module per chain class."
        );
        let docs = header::docs(&title, scope.plan, self.target);
        let path = format!("{}/s{number}/mod.rs", place.dir);
        self.add(&path, list(docs, classes.iter().map(|c| c.name.as_str())))?;
        place.modules.insert(format!("s{number}"));
        Ok(())
    }

    /// Adds what the gateway computes.
    fn tail(&mut self, scope: &Scope, place: &mut Place) -> Result<(), EmitError> {
        let tail = &scope.plan.dataflow.tail;
        let title = format!(
            "Tail: layers {}..{} on the gateway.",
            tail.first_layer, tail.end_layer
        );
        let (module, kernels) = chain::emit(
            scope,
            &scope.parts.tail,
            [&tail.inputs, &tail.outputs],
            &title,
        );
        self.kernels.extend(kernels);
        self.add_to(place, "tail", module)
    }

    fn add_to(&mut self, place: &mut Place, name: &str, module: Module) -> Result<(), EmitError> {
        place.modules.insert(name.to_owned());
        self.add(&format!("{}/{name}.rs", place.dir), module)
    }

    fn add(&mut self, path: &str, module: Module) -> Result<(), EmitError> {
        let source = module.source(path)?;
        self.files.insert(path.to_owned(), source);
        self.math.extend(module.uses.into_math());
        Ok(())
    }

    /// Adds what the programs share, and the crate's frame.
    ///
    /// # Errors
    /// When two different kernels have the same name.
    pub fn finish(
        mut self,
        name: &str,
        description: &str,
        programs: &[TokenStream],
        options: &EmitOptions,
    ) -> Result<Files, EmitError> {
        let isa = self.isa.unwrap_or(Isa::Portable);
        let mut helpers = vec![kernel::Helper::Call];
        if self.halves {
            helpers.push(kernel::Helper::Widen);
        }
        let kernels = std::mem::take(&mut self.kernels);
        self.kernels(&kernels, isa, "src/kernels", &helpers)?;
        self.modules.insert("kernels".to_owned());
        if let Some(math) = self.math()? {
            self.file("src/math.rs", math);
            self.modules.insert("math".to_owned());
        }
        self.add("src/main.rs", self.main(name, programs))?;
        let content = digest(&self.files);
        let manifest = cargo_toml::text(name, &content, description, &options.runtime_path);
        self.file("Cargo.toml", manifest.into_bytes());
        self.file(SETTINGS, cargo_toml::settings(self.triple).into_bytes());
        self.file(".gitignore", b"/target\nweights.bin\n".to_vec());
        Ok(self.files)
    }

    /// `main.rs`.
    fn main(&self, name: &str, programs: &[TokenStream]) -> Module {
        let modules = self.modules.iter().map(|m| ident(m));
        Module {
            docs: header::shared_docs(&format!("A node of {name}: edge or gateway."), self.target),
            forbids_unsafe: false,
            uses: Uses::default(),
            items: quote! {
                #(mod #modules;)*
                fn main() -> std::process::ExitCode {
                    tessera_node::main(&[#(&#programs),*])
                }
            },
        }
    }

    /// Adds kernels, each with its number of existing channels, to the folder `dir`, and `helpers` to its
    /// `mod.rs`.
    ///
    /// # Errors
    /// When two different kernels have the same name.
    pub fn kernels(
        &mut self,
        kernels: &BTreeSet<(ConvKernel, usize)>,
        isa: Isa,
        dir: &str,
        helpers: &[kernel::Helper],
    ) -> Result<(), EmitError> {
        for file in kernel::files(kernels, isa, self.target, helpers)? {
            self.add(&format!("{dir}/{}.rs", file.name), file.module)?;
            for (end, text) in file.assembly {
                self.file(&format!("{dir}/{}{end}.S", file.name), text.into_bytes());
            }
        }
        Ok(())
    }

    /// `math.rs` with the functions that the crate's modules call, if any.
    ///
    /// # Errors
    /// Only by an error of this crate.
    pub fn math(&self) -> Result<Option<Vec<u8>>, EmitError> {
        let items = math::items(&self.math);
        if items.is_empty() {
            return Ok(None);
        }
        let module = Module {
            docs: header::shared_docs(math::TITLE, self.target),
            forbids_unsafe: false,
            uses: Uses::default(),
            items,
        };
        module.source("src/math.rs").map(Some)
    }
}

/// A module that lists others.
fn list<'n>(docs: Vec<String>, names: impl Iterator<Item = &'n str>) -> Module {
    let names = names.map(ident);
    Module {
        docs,
        forbids_unsafe: false,
        uses: Uses::default(),
        items: quote!(#(pub mod #names;)*),
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
