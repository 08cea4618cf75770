//! Bad weights, names, paths and pictures (`docs/darknet.md#bad-input`).

use crate::rig::{CONV, Folder, Ran, net};

/// Two convolutions with batch norm, a head of two classes.
fn cfg() -> String {
    net(&format!(
        "{CONV}batch_normalize=1\n{CONV}batch_normalize=1\n\
         [convolutional]\nfilters=7\n[yolo]\nclasses=2\n"
    ))
}

/// Good weights for [`cfg`].
fn weights() -> Vec<u8> {
    let folder = Folder::new().with("net.cfg", cfg());
    let args = ["weights", "random", "--model", "net.cfg", "--out", "w"];
    folder.run(&args).is_fine();
    std::fs::read(folder.at("w")).unwrap()
}

fn plan(folder: &Folder) -> Ran {
    folder.run(&[
        "plan",
        "--model",
        "net.cfg",
        "--grid",
        "2x2",
        "--offload",
        "2",
        "--dry-run",
        "--target",
        "portable",
        "--weights",
        "net.weights",
    ])
}

/// Plans [`cfg`] with a weights file of these bytes.
fn with(bytes: impl AsRef<[u8]>) -> Ran {
    plan(
        &Folder::new()
            .with("net.cfg", cfg())
            .with("net.weights", bytes),
    )
}

/// Bytes of a value: counted from the end of the header.
fn at(value: usize) -> std::ops::Range<usize> {
    20 + 4 * value..24 + 4 * value
}

fn changed(value: usize, v: f32) -> Vec<u8> {
    let mut w = weights();
    w[at(value)].copy_from_slice(&v.to_le_bytes());
    w
}

#[test]
fn good_weights_are_fine() {
    with(weights()).is_fine();
    // Without any the plan is made, and says what is missing where.
    let folder = Folder::new().with("net.cfg", cfg());
    let args = [
        "plan",
        "--model",
        "net.cfg",
        "--out",
        "crate",
        "--grid",
        "1x1",
        "--offload",
        "1",
    ];
    folder.run(&args).says(
        0,
        &[
            "net.weights does not exist",
            "`run` will need it",
            "--weights random:1",
        ],
    );
    assert!(folder.at("crate/plan.toml").is_file());
}

#[test]
fn weights_that_cannot_be_opened_are_named() {
    let folder = Folder::new().with("net.cfg", cfg());
    plan(&folder).says(1, &["net.weights", "No such file"]);
    std::fs::create_dir(folder.at("net.weights")).unwrap();
    plan(&folder).says(1, &["net.weights", "no regular file"]);
    let folder = Folder::new().with("net.cfg", cfg()).with("net.weights", "");
    let mut mode = std::fs::metadata(folder.at("net.weights"))
        .unwrap()
        .permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0);
    std::fs::set_permissions(folder.at("net.weights"), mode).unwrap();
    plan(&folder).says(1, &["net.weights"]);
}

#[test]
fn weights_shorter_than_their_header_are_an_error() {
    with("").says(
        1,
        &[
            "net.weights",
            "the file has 0 bytes, a Darknet header alone has",
        ],
    );
    with([0, 0, 0, 0, 2, 0, 0, 0, 5, 0]).says(1, &["the file has 10 bytes"]);
    with([0, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]).says(1, &["the file has 16 bytes"]);
}

#[test]
fn truncated_weights_say_in_which_layer_they_end() {
    let w = weights();
    let words = [
        &format!("the cfg needs {} bytes", w.len())[..],
        &format!("the file has {}", w.len() - 40),
        "ends in layer 2 [convolutional]",
    ];
    with(&w[..w.len() - 40]).says(1, &words);
    with(&w[..100]).says(1, &["ends in layer 0 [convolutional]"]);
}

#[test]
fn weights_that_are_too_long_say_what_would_fit() {
    let mut w = weights();
    w.extend([0; 400]);
    with(&w).says(1, &["400 bytes (100 values) too many"]);
    // Five values more per class: four weights and a bias.
    w.truncate(w.len() - 400 + 4 * 5 * 3);
    with(&w).says(1, &["with classes=5 instead of 2"]);
}

#[test]
fn weights_of_no_whole_number_of_values_are_an_error() {
    let mut w = weights();
    with(&w[..w.len() - 3]).says(1, &["in the middle of a value"]);
    w.extend([0; 9]);
    with(&w).says(1, &["no whole number of values"]);
}

#[test]
fn backbone_weights_are_recognised() {
    let w = weights();
    let end = at(4 * 4 + 4 * 27).start;
    with(&w[..end]).says(1, &["exactly before layer 1 [convolutional]", "backbone"]);
}

#[test]
fn a_counter_of_the_other_width_is_read_with_a_warning() {
    let w = weights();
    // Version 0.1 and a counter of eight bytes.
    let mut narrow = w.clone();
    narrow[4] = 1;
    let words = [
        "warning: net.weights: ",
        "version 0.1.5",
        "4 bytes",
        "fits one of 8",
    ];
    with(&narrow).says(0, &words);
    // Version 0.2 and a counter of four.
    let mut wide = w[..16].to_vec();
    wide.extend(&w[20..]);
    let words = [
        "warning: net.weights: ",
        "version 0.2.5",
        "8 bytes",
        "fits one of 4",
    ];
    with(&wide).says(0, &words);
    // Both right.
    wide[4] = 1;
    with(&wide).is_fine();
}

#[test]
fn weights_mangled_by_a_text_encoding_are_recognised() {
    let text = String::from_utf8_lossy(&weights()).into_owned();
    with(text).says(
        1,
        &[
            "net.weights",
            "mangled by a text encoding",
            "fetch it again",
        ],
    );
}

#[test]
fn other_kinds_of_files_are_recognised() {
    let pad = |head: &[u8]| [head, &[7; 300]].concat();
    for (bytes, words) in [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n".to_vec(),
            "Git LFS pointer",
        ),
        (
            b"\n<!DOCTYPE html>\n<html><head></head></html>".to_vec(),
            "HTML page",
        ),
        (pad(b"PK\x03\x04"), "zip archive"),
        (pad(b"\x80\x02}q"), "Python pickle"),
        (pad(b"\x08\x03\x12\x07pytorch"), "ONNX"),
        (pad(b"\x1f\x8b\x08"), "gzip"),
        (pad(b"\x89HDF\r\n"), "HDF5"),
        (pad(b"\x89PNG\r\n"), "picture"),
        (b"just some text that somebody wrote".to_vec(), "text"),
    ] {
        with(bytes).says(
            1,
            &[
                "net.weights",
                "this looks like",
                words,
                "not a Darknet weights file",
            ],
        );
    }
}

#[test]
fn values_that_no_network_has_are_errors() {
    // Layer 0: 4 biases, 4 scales, 4 means, 4 variances, 108 weights.
    with(changed(1, f32::NAN)).says(1, &["layer 0: biases[1] is NaN"]);
    with(changed(16 + 9, f32::INFINITY)).says(1, &["layer 0: weights[9] is inf"]);
    with(changed(12 + 2, -0.5)).says(1, &["layer 0: variance[2] is -0.5"]);
}

#[test]
fn an_absurd_header_version_needs_a_length_that_fits() {
    let mut w = weights();
    w[..12].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 5]);
    with(&w).says(1, &["the header says version 0.33554432", "swapped"]);
    // Darknet reads any; a length that fits says more than the version.
    w[..4].copy_from_slice(&200_000i32.to_le_bytes());
    with(&w).says(0, &["warning", "version 200000", "the length fits"]);
    with(&w[..w.len() - 8]).says(1, &["version 200000", "no Darknet weights file"]);
}

#[test]
fn wild_variances_of_another_cfg_are_a_warning() {
    // Of the same size nothing can be seen, but for statistics that make no sense.
    with(changed(12, 3e7)).says(0, &["warning", "layer 0", "variances are above 1e6"]);
    with(changed(12, -3e7)).says(1, &["variance[0]"]);
}

#[test]
fn exchanged_cfg_and_weights_are_recognised() {
    let folder = Folder::new()
        .with("net.cfg", cfg())
        .with("net.weights", weights());
    folder
        .run(&[
            "plan",
            "--model",
            "net.weights",
            "--weights",
            "net.cfg",
            "--dry-run",
        ])
        .says(
            1,
            &["net.weights", "binary data, not a text cfg", "swapped?"],
        );
    folder
        .run(&[
            "plan",
            "--model",
            "net.cfg",
            "--weights",
            "net.cfg",
            "--dry-run",
        ])
        .says(1, &["net.cfg", "this looks like a cfg", "swapped?"]);
}

/// Runs a network on a picture that does not exist, so that it ends before anything is built.
fn run(folder: &Folder, more: &[&str]) -> Ran {
    let base = [
        "run",
        "--model",
        "net.cfg",
        "--weights",
        "random:1",
        "--grid",
        "1x1",
        "--offload",
        "1",
    ];
    folder.run(&[&base, more].concat())
}

#[test]
fn names_that_do_not_match_the_classes_are_a_warning() {
    let folder = Folder::new()
        .with("net.cfg", cfg())
        .with("short", "one\n")
        .with("long", "one\ntwo\nthree\n")
        .with("blank", "\ntwo\n")
        .with("right", "one\ntwo\n")
        .with("binary", [0, 159, 146, 150]);
    let names = |file| run(&folder, &["--names", file, "--image", "none.png"]);
    names("short").says(
        1,
        &["warning: short: 1 name for 2 classes", "shown by number"],
    );
    let ran = names("long");
    ran.says(1, &["warning: long: 3 names for 2 classes", "not used"]);
    // Nothing is said of classes without a name, as there is none.
    assert!(!ran.err.contains("number"), "{}", ran.err);
    names("blank").says(1, &["warning: blank: the name of class 0 is blank"]);
    assert!(!names("right").err.contains("warning"));
    names("binary").says(1, &["binary", "no list of names"]);
    names("missing").says(1, &["missing", "No such file"]);
    names(".").says(1, &["cannot use .: ", "no regular file"]);
}

#[test]
fn names_in_other_encodings_are_read() {
    let wide: Vec<u8> = "\u{feff}ballón\r\nbox\r\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let folder = Folder::new()
        .with("net.cfg", cfg())
        .with("wide", wide)
        .with("latin", b"bal\xf3n\ncaja\n")
        .with("returns", "one\rtwo\r");
    let names = |file| run(&folder, &["--names", file, "--image", "none.png"]);
    // All of them come as far as the picture that is not there.
    for file in ["wide", "returns"] {
        let ran = names(file);
        ran.says(1, &["none.png"]);
        assert!(!ran.err.contains("warning"), "{}", ran.err);
    }
    names("latin").says(1, &["warning: latin: line 1 is not UTF-8", "none.png"]);
}

#[test]
fn an_error_of_the_system_is_told_once() {
    let folder = Folder::new().with("net.cfg", cfg()).with("net.weights", "");
    std::fs::remove_file(folder.at("net.weights")).unwrap();
    for ran in [
        run(&folder, &["--names", "missing", "--image", "none.png"]),
        run(&folder, &["--image", "none.png"]),
        plan(&folder),
    ] {
        assert_eq!(ran.err.matches("No such file").count(), 1, "{}", ran.err);
    }
}

#[test]
fn channels_that_pictures_cannot_have_are_said_before_anything_is_planned() {
    for channels in [2, 4] {
        let folder = Folder::new()
            .with(
                "net.cfg",
                cfg().replace("channels=3", &format!("channels={channels}")),
            )
            .with("one.ppm", b"P6\n1 1\n255\nabc");
        let ran = run(&folder, &["--image", "one.ppm"]);
        let said = format!("the network takes {channels} channels, pictures have 1 or 3");
        ran.says(1, &[&said, "--input-f32"]);
        assert!(!ran.err.contains("Planning"), "{}", ran.err);
    }
}

#[test]
fn paths_may_have_spaces_and_any_letters() {
    let name = "my nét 網/it's a net.cfg";
    let folder = Folder::new();
    std::fs::create_dir(folder.at("my nét 網")).unwrap();
    let folder = folder
        .with(name, cfg())
        .with("my nét 網/it's a net.weights", weights());
    let ran = folder.run(&["inspect", name]);
    ran.is_fine();
    assert!(ran.out.starts_with("it's a net:"), "{}", ran.out);
    let ran = folder.run(&["plan", "--model", name, "--dry-run", "--target", "portable"]);
    ran.is_fine();
    assert!(ran.out.starts_with("plan it-s-a-net-"), "{}", ran.out);
    let folder = folder.with(name, "[net]");
    folder
        .run(&["inspect", name])
        .says(1, &[&format!("{name}:1:1")]);
}

#[test]
fn pictures_that_cannot_be_read_are_named() {
    // Grey, alpha and 1 x 1 pictures are converted: see the tests of `tessera_picture`.
    let folder = Folder::new()
        .with("net.cfg", cfg())
        .with("empty.png", "")
        .with("broken.png", b"\x89PNG\r\n\x1a\nand no more")
        .with("text.jpg", "this is no picture at all");
    std::fs::create_dir(folder.at("folder.png")).unwrap();
    for (file, words) in [
        ("empty.png", "is empty"),
        ("broken.png", "is no picture that can be decoded"),
        ("text.jpg", "is no picture that can be decoded"),
        ("missing.png", "No such file"),
        ("folder.png", "is a folder"),
    ] {
        run(&folder, &["--image", file]).says(1, &[file, words]);
    }
    // A JPEG that is cut off, under any name.
    let whole = include_bytes!("../../../runtime/picture/src/testdata/sequential.jpg");
    let folder = folder.with("cut.png", &whole[..whole.len() / 2]);
    run(&folder, &["--image", "cut.png"]).says(1, &["cut.png is a damaged JPEG", "blocks"]);
    // Raw tensors are checked by their length.
    let folder = folder.with("short.f32", [0; 16]);
    run(&folder, &["--input-f32", "short.f32"]).says(1, &["short.f32 has 16 bytes", "takes 12288"]);
}

/// A table of one row for armv7.
const COSTS: &str = "schema = 1\ntarget = \"armv7\"\ncore = \"c\"\nhow = \"h\"\n\
     rows = [{ kernel = \"direct\", cin = 8, filters = 8, side = 8, gmacs = 1.0 }]\n";

/// Plans [`cfg`] for armv7 with a cost table of this text.
fn with_costs(table: &str) -> Ran {
    let folder = Folder::new()
        .with("net.cfg", cfg())
        .with("costs.toml", table);
    let words = "plan --model net.cfg --offload 0 --dry-run --target armv7 --costs costs.toml";
    folder.run(&words.split(' ').collect::<Vec<_>>())
}

#[test]
fn tables_of_costs() {
    with_costs(COSTS).is_fine();
    with_costs("gibberish").says(1, &["costs.toml", "calibrate"]);
    with_costs(&COSTS.replace("armv7", "x86-64-v3")).says(1, &["x86-64-v3", "armv7", "--target"]);
    with_costs(&COSTS.replace("1.0", "-1.0")).says(1, &["row 1", "gmacs"]);
    with_costs(&COSTS.replace("schema = 1", "schema = 2")).says(1, &["schema 2", "calibrate"]);
    let folder = Folder::new().with("net.cfg", cfg());
    let plan = |costs: &str, target: &str| {
        let words =
            format!("plan --model net.cfg --offload 0 --dry-run --target {target} --costs {costs}");
        folder.run(&words.split(' ').collect::<Vec<_>>())
    };
    plan("cortex-a72", "aarch64").is_fine();
    plan("cortex-a72", "portable").says(1, &["no table", "calibrate"]);
    plan("missing.toml", "armv7").says(1, &["missing.toml", "No such file"]);
}

#[test]
fn results_of_calibration() {
    let folder = Folder::new().with("results", "core C\ncase x\nnonsense\n");
    let from = |file: &str| {
        let words = format!("calibrate --target armv7 --from {file} --out table.toml");
        folder.run(&words.split(' ').collect::<Vec<_>>())
    };
    from("results").says(1, &["results", "line 3", "measure.sh"]);
    from("missing").says(1, &["missing", "No such file"]);
    let folder = Folder::new().with("results", "target armv7\ncore C\nend\n");
    let words = "calibrate --target armv7 --from results --out table.toml";
    let words: Vec<&str> = words.split(' ').collect();
    folder.run(&words).says(1, &["no layer was timed"]);
    let case = "case direct-64-128-26\n{\"event\":\"timing\",\"seconds\":[0.1,0.2]}\n";
    let folder = Folder::new().with("results", format!("target armv7\ncore C\n{case}"));
    folder.run(&words).says(1, &["before the last layer"]);
    let text = format!("target aarch64\ncore C\n{case}end\n");
    let folder = Folder::new().with("results", text);
    folder.run(&words).says(1, &["aarch64", "armv7"]);
    let text = format!("target armv7\ncore C\n{case}end\n");
    let folder = Folder::new().with("results", text);
    folder.run(&words).is_fine();
    let table = std::fs::read_to_string(folder.at("table.toml")).unwrap();
    // 9 * 64 * 128 * 26 * 26 multiply-adds in a tenth of a second.
    assert!(table.contains("gmacs = 0.498"), "{table}");
    let core = ["calibrate", "--target", "armv7", "--core", "z80"];
    folder.run(&core).says(1, &["z80", "cortex-a53"]);
}
