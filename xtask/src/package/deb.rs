//! `NAME.deb` for each architecture: an `ar` archive of a version, an archive of what dpkg knows, and one of files (deb(5)).
//! The crates that `cargo deb` writes its packages with write these, too; that program itself packs a cargo package, and a
//! packaged node is the crate of a plan with its weights.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use clap_complete::Shell;
use flate2::Compression;
use md5::{Digest, Md5};

use super::{
    boards, gz,
    identity::processor,
    parts::{Board, Parts},
    tarball::{LICENSE, data},
    tree::{self, Body, Tree},
    unit, xz,
};
use crate::manual;

/// The package's name.
pub const PACKAGE: &str = "tessera-node";
/// Where data of the package lie.
const SHARE: &str = "/usr/share/tessera";
/// Where people change what the unit hands to the node.
const DEFAULT: &str = "etc/default/tessera-node";

const POSTINST: &str = include_str!("files/postinst.sh");
const PRERM: &str = include_str!("files/prerm.sh");
const POSTRM: &str = include_str!("files/postrm.sh");

/// Writes the packages.
///
/// # Errors
/// When two targets are of one architecture, or a file cannot be read or written.
pub fn write(parts: &Parts, out: &Path) -> Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for board in &parts.boards {
        let path = out.join(format!("{}.deb", parts.identity.stem(board.target)));
        one(parts, board, &path).with_context(|| path.display().to_string())?;
        written.push(path);
    }
    Ok(written)
}

fn one(parts: &Parts, board: &Board, path: &Path) -> Result<()> {
    let files = files(parts, board)?;
    let control = gzip(&control(parts, board, &files)?.tar("./", Vec::new())?)?;
    let data = xz::archive(&files, "./", Vec::new())?;
    let mut ar = ar::Builder::new(File::create(path)?);
    for (name, bytes) in [
        ("debian-binary", &b"2.0\n"[..]),
        ("control.tar.gz", &control),
        ("data.tar.xz", &data),
    ] {
        let mut header = ar::Header::new(name.into(), bytes.len() as u64);
        header.set_mode(0o100_644);
        header.set_mtime(tree::time());
        ar.append(&header, bytes)?;
    }
    Ok(ar.into_inner()?.sync_all()?)
}

/// What is installed.
fn files(parts: &Parts, board: &Board) -> Result<Tree> {
    let share = &SHARE[1..];
    let mut files = Tree::default();
    files.below(share, data(board));
    files.below(&format!("{share}/boards"), boards::files(&parts.starts));
    files.add(format!("{share}/plan.toml"), Body::File(board.plan.clone()));
    files.program(format!("usr/bin/{PACKAGE}"), Body::File(board.node.clone()));
    files.text(
        format!("usr/lib/systemd/system/{}", unit::UNIT),
        unit::text(&format!("/usr/bin/{PACKAGE}"), SHARE),
    );
    files.text(DEFAULT, unit::DEFAULT);
    // Keys lie there: root alone looks in.
    files.folder("etc/tessera", 0o700);
    let page = gzip(&manual::node_page(PACKAGE)?)?;
    files.add(
        format!("usr/share/man/man1/{PACKAGE}.1.gz"),
        Body::Bytes(page),
    );
    for (shell, place) in [
        (
            Shell::Bash,
            format!("usr/share/bash-completion/completions/{PACKAGE}"),
        ),
        (
            Shell::Zsh,
            format!("usr/share/zsh/vendor-completions/_{PACKAGE}"),
        ),
        (
            Shell::Fish,
            format!("usr/share/fish/vendor_completions.d/{PACKAGE}.fish"),
        ),
    ] {
        files.text(place, manual::node_completion(PACKAGE, shell)?);
    }
    let docs = format!("usr/share/doc/{PACKAGE}");
    files.text(format!("{docs}/copyright"), copyright());
    let changes = format!(
        "{PACKAGE} ({}) unstable; urgency=medium\n\n  * Node of {} as planned. CHANGELOG.md of Tessera has what is new.\n\n -- {}  {}\n",
        parts.identity.version(),
        parts.identity.model,
        parts.identity.maintainer,
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(tree::time()))
            .replace("GMT", "+0000"),
    );
    let changes = Body::Bytes(gzip(changes.as_bytes())?);
    files.add(format!("{docs}/changelog.gz"), changes);
    // A program without a C library of the board is what it is meant to be.
    files.text(
        format!("usr/share/lintian/overrides/{PACKAGE}"),
        format!("{PACKAGE}: statically-linked-binary [usr/bin/{PACKAGE}]\n"),
    );
    Ok(files)
}

/// What dpkg knows of the package.
fn control(parts: &Parts, board: &Board, files: &Tree) -> Result<Tree> {
    let identity = &parts.identity;
    let mut sums = String::new();
    files.each(|name, read| {
        let mut hash = Md5::new();
        io::copy(read, &mut hash)?;
        if name != DEFAULT {
            sums += &format!("{}  {name}\n", hex::encode(hash.finalize()));
        }
        Ok(())
    })?;
    let mut control = Tree::default();
    let text = format!(
        "Package: {PACKAGE}\n\
         Version: {}\n\
         Architecture: {}\n\
         Maintainer: {}\n\
         Installed-Size: {}\n\
         Recommends: ffmpeg\n\
         Section: net\n\
         Priority: optional\n\
         Description: node of a cluster that computes {}\n\
         \x20Boards with this package compute the convolutional network {} together, each its\n\
         \x20tiles. This one is compiled for {}. Nodes of one version work together; the\n\
         \x20part behind the plus sign names the plan.\n\
         \x20.\n\
         \x20Put cluster.toml, cluster.secret and node.key into /etc/tessera, then\n\
         \x20systemctl start tessera-node.\n",
        identity.version(),
        processor(board.target)?.debian,
        identity.maintainer,
        files.bytes()?.div_ceil(1024),
        identity.model,
        identity.model,
        board.target.name(),
    );
    control.text("control", text);
    control.text("md5sums", sums);
    control.text("conffiles", format!("/{DEFAULT}\n"));
    for (name, script) in [("postinst", POSTINST), ("prerm", PRERM), ("postrm", POSTRM)] {
        control.program(name, Body::Bytes(script.into()));
    }
    Ok(control)
}

/// The licence, as Debian's tools read it.
fn copyright() -> String {
    let mut text = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: Tessera\n\nFiles: *\n"
        .to_owned();
    let by = LICENSE.lines().find(|l| l.starts_with("Copyright"));
    text += &format!(
        "Copyright: {}\nLicense: MIT\n",
        by.map_or("the authors of Tessera", |l| l
            .trim_start_matches("Copyright (c) ")
            .trim())
    );
    let body = LICENSE.lines().skip_while(|l| !l.starts_with("Permission"));
    for line in body {
        text += &match line.trim() {
            "" => " .\n".to_owned(),
            line => format!(" {line}\n"),
        };
    }
    text
}

/// Bytes as `gzip -9n` packs them.
fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    gz::packed(bytes, Compression::best())
}
