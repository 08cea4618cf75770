//! `cargo xtask package`: what boards without Rust are given by hand or by their package managers. docs/package.md is for people.
//!
//! ```text
//! build     a node for each target of the plan, without its symbols      crate::build, crate::strip
//! tree      the files of a package, in one order, with one time          tree
//! write     NAME.tar.xz                                                  tarball
//!           NAME.deb                                                     deb
//!           oci/            an image of nothing but the node             oci
//!           home-assistant/ an app for Home Assistant                    app
//!           SHA256SUMS
//! ```
//!
//! The same plan, weights and nodes give the same bytes: no clock, no user, no machine is in them.

mod app;
mod boards;
mod deb;
mod gz;
mod icon;
mod identity;
mod oci;
mod parts;
mod tarball;
mod tree;
mod unit;
mod xz;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use self::{
    identity::Identity,
    parts::{Board, Parts},
};
use crate::{
    build::Planned,
    compile, emit,
    flags::{PackageArgs, PackageForm},
    out::outln,
    plan, strip, workspace,
};

/// Runs `cargo xtask package`.
///
/// # Errors
/// When planning or building fails, or a package cannot be written.
pub fn run(args: &PackageArgs) -> Result<()> {
    let planned = Planned::of(&args.planned)?;
    let shown = args.planned.model.model.to_string_lossy();
    plan::require_weights(&planned.loaded.source, &shown)?;
    let parts = parts(&planned, args)?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| workspace::root().join("out").join("package"));
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let forms = match args.form.as_slice() {
        [] => PackageForm::ALL,
        some => some,
    };
    let mut written = Vec::new();
    for form in forms {
        match form {
            PackageForm::Tar => written.extend(tarball::write(&parts, &out)?),
            PackageForm::Deb => written.extend(deb::write(&parts, &out)?),
            PackageForm::Oci => written.push(oci::write(&parts, &out)?),
            PackageForm::HomeAssistant => match app::write(&parts, &out)? {
                Some(dir) => written.push(dir),
                None if args.form.is_empty() => {}
                None => bail!(
                    "Home Assistant's apps run on 64-bit ARM and x86-64 alone, and the plan is for neither"
                ),
            },
        }
    }
    let sums = sums(&out, &written)?;
    for path in written.iter().chain([&sums]) {
        outln!("{}", workspace::show(path))?;
    }
    Ok(())
}

/// Builds the nodes.
fn parts(planned: &Planned, args: &PackageArgs) -> Result<Parts> {
    // Whichever board becomes the gateway, its node can do what a gateway does.
    let with = match args.with.as_slice() {
        [] => ["alerts", "mqtt", "service"].map(str::to_owned).to_vec(),
        some => some.iter().filter(|w| *w != "nothing").cloned().collect(),
    };
    let out = compile::folder(&planned.plan);
    let mut boards = Vec::new();
    for target in planned.options.targets() {
        let dir = planned.emit(target, &out)?;
        let node = planned.compile(target, &dir, &with)?;
        // Other builds of this plan put other nodes into that place.
        let symbols = node.with_file_name("node-packaged");
        fs::copy(&node, &symbols).with_context(|| symbols.display().to_string())?;
        let names = dir.join("weights.names");
        boards.push(Board {
            target,
            node: strip::stripped(&symbols, target)?,
            symbols,
            weights: emit::weights_file(&dir),
            plan: dir.join("plan.toml"),
            names: names.exists().then_some(names),
        });
    }
    Ok(Parts {
        identity: Identity::of(&planned.plan, args.maintainer.as_deref())?,
        boards,
        starts: boards::started(
            &planned.options,
            &planned.plan,
            args.planned.plan.cluster.as_deref(),
        )?,
    })
}

/// Writes `SHA256SUMS` of all files, as `sha256sum -c` reads it.
fn sums(out: &Path, written: &[PathBuf]) -> Result<PathBuf> {
    let mut files = Vec::new();
    for path in written {
        list(path, &mut files)?;
    }
    files.sort();
    let mut text = String::new();
    for file in files {
        let mut hash = Sha256::new();
        let mut opened = fs::File::open(&file).with_context(|| file.display().to_string())?;
        std::io::copy(&mut opened, &mut hash).with_context(|| file.display().to_string())?;
        let name = file.strip_prefix(out).unwrap_or(&file).display();
        text += &format!("{}  {name}\n", hex::encode(hash.finalize()));
    }
    let path = out.join("SHA256SUMS");
    fs::write(&path, text).with_context(|| path.display().to_string())?;
    Ok(path)
}

/// All files below `path`.
fn list(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path).with_context(|| path.display().to_string())? {
            list(&entry?.path(), files)?;
        }
    } else {
        files.push(path.into());
    }
    Ok(())
}
