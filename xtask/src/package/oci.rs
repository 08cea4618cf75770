//! `oci/`: a folder in the image layout of the Open Container Initiative, with an image for each target of the plan. Nothing but
//! the node and its weights is in it.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use flate2::Compression;
use oci_spec::image::{
    ANNOTATION_REF_NAME, ANNOTATION_TITLE, ANNOTATION_VERSION, Arch, ConfigBuilder, Descriptor,
    HistoryBuilder, ImageConfigurationBuilder, ImageIndexBuilder, ImageManifestBuilder, MediaType,
    OciLayoutBuilder, Os, Platform, PlatformBuilder, RootFsBuilder, Sha256Digest,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{
    gz,
    identity::processor,
    parts::{Board, Parts},
    tarball::data,
    tree::{Body, Tree, fresh},
};
/// Version 2 of descriptors, which all documents here have.
const SCHEMA: u32 = 2;
/// Where the node lies in its image.
const HOME: &str = "tessera";
/// A user without rights, as distributions number nobody.
const USER: &str = "65534:65534";

/// Writes the layout; returns its folder.
///
/// # Errors
/// When a file cannot be read or written.
pub fn write(parts: &Parts, out: &Path) -> Result<PathBuf> {
    let layout = Layout(out.join("oci"));
    fresh(&layout.0)?;
    fs::create_dir_all(layout.0.join("blobs/sha256"))?;
    let tag = parts.identity.tag();
    let mut images = Vec::new();
    for board in &parts.boards {
        images.push(layout.image(parts, board)?);
    }
    // Clients that take the right one by themselves get it by the version; others by version and target.
    let all = ImageIndexBuilder::default()
        .schema_version(SCHEMA)
        .media_type(MediaType::ImageIndex)
        .manifests(images.clone())
        .build()?;
    let all = layout.document(&all, MediaType::ImageIndex)?;
    let mut named = vec![reference(all, &tag)];
    for (image, board) in images.into_iter().zip(&parts.boards) {
        named.push(reference(image, &format!("{tag}-{}", board.target.name())));
    }
    let index = ImageIndexBuilder::default()
        .schema_version(SCHEMA)
        .media_type(MediaType::ImageIndex)
        .manifests(named)
        .build()?;
    layout.file("index.json", &json(&index)?)?;
    let mark = OciLayoutBuilder::default()
        .image_layout_version("1.0.0")
        .build()?;
    layout.file("oci-layout", &json(&mark)?)?;
    Ok(layout.0)
}

/// A document as bytes, its keys in one order.
fn json(document: &impl Serialize) -> Result<Vec<u8>> {
    let mut value = serde_json::to_value(document)?;
    value.sort_all_objects();
    Ok(serde_json::to_vec(&value)?)
}

/// `image` under a name that people type.
fn reference(image: Descriptor, name: &str) -> Descriptor {
    let mut image = image;
    let names = HashMap::from([(ANNOTATION_REF_NAME.to_owned(), name.to_owned())]);
    image.set_annotations(Some(names));
    image
}

/// A folder in that layout.
struct Layout(PathBuf);

impl Layout {
    fn file(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.0.join(name);
        fs::write(&path, bytes).with_context(|| path.display().to_string())
    }

    /// Adds bytes under their digest.
    fn blob(&self, bytes: &[u8], kind: MediaType) -> Result<Descriptor> {
        let digest = hex::encode(Sha256::digest(bytes));
        self.file(&format!("blobs/sha256/{digest}"), bytes)?;
        let digest: Sha256Digest = digest.parse()?;
        Ok(Descriptor::new(kind, bytes.len() as u64, digest))
    }

    fn document(&self, document: &impl Serialize, kind: MediaType) -> Result<Descriptor> {
        self.blob(&json(document)?, kind)
    }

    /// Adds the files of a layer; returns its descriptor, and the digest of what it is before its compression.
    fn layer(&self, files: &Tree) -> Result<(Descriptor, String)> {
        let plain = files.tar("", Vec::new())?;
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(&plain)));
        let packed = gz::packed(&plain, Compression::default())?;
        let layer = self.blob(&packed, MediaType::ImageLayerGzip)?;
        Ok((layer, digest))
    }

    /// Adds the image of a target.
    fn image(&self, parts: &Parts, board: &Board) -> Result<Descriptor> {
        let identity = &parts.identity;
        let mut weights = Tree::default();
        weights.below(HOME, data(board));
        // Where cluster.toml and keys are mounted, and where records may go.
        weights.folder("etc/tessera", 0o755);
        weights.folder("var/lib/tessera", 0o777);
        weights.folder("tmp", 0o1777);
        let mut program = Tree::default();
        program.program(format!("{HOME}/node"), Body::File(board.node.clone()));
        let mut layers = Vec::new();
        let mut digests = Vec::new();
        let mut history = Vec::new();
        // What changes less often comes first.
        for (files, what) in [(&weights, "weights"), (&program, "node")] {
            let (layer, digest) = self.layer(files)?;
            layers.push(layer);
            digests.push(digest);
            let entry =
                HistoryBuilder::default().created_by(format!("cargo xtask package: {what}"));
            history.push(entry.build()?);
        }
        let labels = HashMap::from([
            (
                ANNOTATION_TITLE.to_owned(),
                format!("tessera-node, {}", identity.model),
            ),
            (ANNOTATION_VERSION.to_owned(), identity.version()),
        ]);
        let config = ConfigBuilder::default()
            .entrypoint(vec![format!("/{HOME}/node")])
            .cmd(vec!["--help".to_owned()])
            .working_dir(format!("/{HOME}"))
            .user(USER)
            .labels(labels)
            .build()?;
        let platform = platform(board)?;
        let mut configuration = ImageConfigurationBuilder::default()
            .architecture(platform.architecture().clone())
            .os(Os::Linux)
            .config(config)
            .rootfs(RootFsBuilder::default().diff_ids(digests).build()?)
            .history(history);
        if let Some(variant) = platform.variant() {
            configuration = configuration.variant(variant.clone());
        }
        let config = self.document(&configuration.build()?, MediaType::ImageConfig)?;
        let manifest = ImageManifestBuilder::default()
            .schema_version(SCHEMA)
            .media_type(MediaType::ImageManifest)
            .config(config)
            .layers(layers)
            .build()?;
        let mut image = self.document(&manifest, MediaType::ImageManifest)?;
        image.set_platform(Some(platform));
        Ok(image)
    }
}

fn platform(board: &Board) -> Result<Platform> {
    let (architecture, variant) = processor(board.target)?.oci;
    let platform = PlatformBuilder::default()
        .os(Os::Linux)
        .architecture(Arch::from(architecture));
    Ok(match variant {
        Some(variant) => platform.variant(variant).build()?,
        None => platform.build()?,
    })
}
