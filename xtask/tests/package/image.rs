//! `oci/`: by the rules of the image specification, and by programs that follow them.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use sha2::{Digest, Sha256};
use tessera_needs::needs;

use crate::common::{demo, detects, packages, run, scratch};

fn layout() -> PathBuf {
    packages().join("oci")
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The bytes that a descriptor points to, which are as many as it says and have its digest.
fn blob(descriptor: &Value) -> Vec<u8> {
    let digest = descriptor["digest"].as_str().unwrap();
    let (algorithm, hex) = digest.split_once(':').unwrap();
    let bytes = fs::read(layout().join("blobs").join(algorithm).join(hex)).unwrap();
    assert_eq!(descriptor["size"].as_u64(), Some(bytes.len() as u64));
    assert_eq!(hex, format!("{:x}", Sha256::digest(&bytes)));
    bytes
}

fn name(descriptor: &Value) -> &str {
    let name = &descriptor["annotations"]["org.opencontainers.image.ref.name"];
    name.as_str().unwrap()
}

/// The names of the layout: of all targets, and of the one.
fn names() -> [String; 2] {
    let index = json(&layout().join("index.json"));
    let names: Vec<&str> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(name)
        .collect();
    let [all, one] = names.try_into().expect("a plan of one target");
    assert_eq!(format!("{all}-portable"), one);
    [all.into(), one.into()]
}

#[test]
fn the_layout_follows_the_specification() {
    let mark = json(&layout().join("oci-layout"));
    assert_eq!(mark["imageLayoutVersion"], "1.0.0");
    let index = json(&layout().join("index.json"));
    assert_eq!(index["schemaVersion"], 2);
    let [all, one] = [0, 1].map(|n| &index["manifests"][n]);
    // A tag is at most 128 of few characters.
    for tag in names() {
        let is_tag = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        assert!(tag.len() <= 128 && tag.bytes().all(is_tag), "{tag}");
    }
    assert_eq!(all["mediaType"], "application/vnd.oci.image.index.v1+json");
    let nested: Value = serde_json::from_slice(&blob(all)).unwrap();
    assert_eq!(nested["manifests"][0]["digest"], one["digest"]);
    assert_eq!(nested["manifests"][0]["platform"]["os"], "linux");

    let manifest: Value = serde_json::from_slice(&blob(one)).unwrap();
    assert_eq!(
        manifest["mediaType"],
        "application/vnd.oci.image.manifest.v1+json"
    );
    let config: Value = serde_json::from_slice(&blob(&manifest["config"])).unwrap();
    assert_eq!(config["architecture"], one["platform"]["architecture"]);
    assert_eq!(config["config"]["Entrypoint"][0], "/tessera/node");
    assert_eq!(config["rootfs"]["type"], "layers");
    let layers = manifest["layers"].as_array().unwrap();
    let digests = config["rootfs"]["diff_ids"].as_array().unwrap();
    assert_eq!(layers.len(), digests.len());
    assert_eq!(config["history"].as_array().unwrap().len(), layers.len());
    let mut files = Vec::new();
    for (layer, digest) in layers.iter().zip(digests) {
        assert_eq!(
            layer["mediaType"],
            "application/vnd.oci.image.layer.v1.tar+gzip"
        );
        let mut plain = Vec::new();
        let packed = blob(layer);
        flate2::read::GzDecoder::new(packed.as_slice())
            .read_to_end(&mut plain)
            .unwrap();
        assert_eq!(*digest, format!("sha256:{:x}", Sha256::digest(&plain)));
        for entry in tar::Archive::new(plain.as_slice()).entries().unwrap() {
            files.push(entry.unwrap().path().unwrap().display().to_string());
        }
    }
    for name in [
        "tessera/node",
        "tessera/weights.bin",
        "tessera/weights.names",
        "etc/tessera/",
    ] {
        assert!(files.iter().any(|f| f == name), "{name}: {files:?}");
    }
}

#[needs(skopeo)]
#[test]
fn skopeo_reads_and_copies_the_images() {
    let to = scratch("skopeo");
    for (number, name) in names().iter().enumerate() {
        let from = format!("oci:{}:{name}", layout().display());
        let said = run(Command::new("skopeo").args(["inspect", &from]));
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["Os"], "linux");
        assert_eq!(said["Layers"].as_array().unwrap().len(), 2);
        let copy = format!("oci:{}:copy", to.join(number.to_string()).display());
        run(Command::new("skopeo").args(["copy", "--insecure-policy", "--quiet", &from, &copy]));
    }
}

/// The image has all that a node needs: nothing else is in its root.
#[needs(umoci)]
#[test]
fn an_unpacked_image_detects() {
    let bundle = scratch("bundle");
    let [_, one] = names();
    let image = format!("{}:{one}", layout().display());
    run(Command::new("umoci")
        .args(["unpack", "--image", &image])
        .arg(&bundle));
    let root = bundle.join("rootfs");
    fs::copy(demo().join("demo.png"), root.join("demo.png")).unwrap();
    let config = json(&bundle.join("config.json"));
    assert_eq!(config["process"]["args"][0], "/tessera/node");
    assert_eq!(config["process"]["user"]["uid"], 65534);
    let mut node = Command::new("chroot");
    node.arg("--userspec=65534:65534").arg(&root);
    node.args(["/tessera/node", "solo", "--weights", "/tessera/weights.bin"]);
    detects(node.args(["--image", "/demo.png"]));
}
