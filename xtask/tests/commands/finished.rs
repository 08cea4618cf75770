//! A finished run is not thrown away because a file cannot be written: its results are printed, and the exit code says
//! that something is missing. Shell scripts stand for the nodes: the gateway writes the one record at once.

use std::fs;

use crate::{
    rig::{CONV, Folder, Ran, net},
    stand_ins,
};

/// A node: gateways tell their address and write a record; all end when they are told to.
const NODE: &str = r#"#!/bin/sh
trap 'kill $!; exit 0' TERM
role=$1
while [ $# -gt 0 ]; do
  case $1 in
    --records) records=$2 ;;
  esac
  shift
done
if [ $role = gateway ]; then
  echo "$TEST_EVENT"
  echo "$TEST_RECORD" >> "$records"
  eval "$TEST_DAMAGE"
fi
sleep 600 &
wait
"#;

const RECORD: &str = r#"{"source":1,"epoch":1,"frame":0,"tag":0,"width":1,"height":1,"detections":[{"class":0,"score":0.875,"objectness":0.9,"box":[0.5,0.5,1.0,1.0],"box_px":[0,0,1,1]}]}"#;

/// Runs a cluster whose results go there; `damage` happens while it runs.
fn run(folder: &Folder, flags: &[&str], damage: &str, name: &str) -> Ran {
    let cargo = stand_ins::cargo(folder, &stand_ins::makes_nodes(NODE));
    let model = format!("{name}.cfg");
    let head = "[convolutional]\nfilters=7\n[yolo]\nclasses=2\n";
    fs::write(folder.at(&model), net(&format!("{CONV}{head}"))).unwrap();
    fs::write(folder.at("one.ppm"), b"P6\n1 1\n255\nabc").unwrap();
    fs::write(folder.at("two.names"), "dog\ncat\n").unwrap();
    let words =
        "--weights random:1 --offload 0 --target portable --image one.ppm --names two.names";
    let mut args = vec!["run", "--model", &model];
    args.extend(words.split(' '));
    args.extend(flags);
    folder.run_with(
        &args,
        &[
            ("CARGO", cargo.to_str().unwrap()),
            ("TEST_EVENT", &stand_ins::listening()),
            ("TEST_RECORD", RECORD),
            ("TEST_DAMAGE", damage),
        ],
    )
}

fn shows_results(ran: &Ran) {
    for words in ["dog", "87.5 %", "1 frame(s) in"] {
        assert!(ran.out.contains(words), "{}", ran.out);
    }
}

#[test]
fn files_are_written() {
    let folder = Folder::new();
    let flags = ["--json", "new/found.json", "--annotate", "found.png"];
    let ran = run(&folder, &flags, "", "finished-well");
    ran.is_fine();
    shows_results(&ran);
    let json = fs::read_to_string(folder.at("new/found.json")).unwrap();
    assert!(json.contains(r#""label": "dog""#), "{json}");
    assert!(
        fs::read(folder.at("found.png"))
            .unwrap()
            .starts_with(b"\x89PNG")
    );
}

#[test]
fn results_are_printed_when_files_cannot_be_written() {
    for (flags, damage, words) in [
        (
            ["--json", "/dev/full"],
            "",
            "cannot write /dev/full: No space left",
        ),
        (
            ["--annotate", "/dev/full"],
            "",
            "cannot write /dev/full: No space left",
        ),
        (
            ["--json", "new/a.json"],
            "rm -r new",
            "cannot write new/a.json: No such file",
        ),
        (
            ["--annotate", "a.png"],
            "rm one.ppm",
            "one.ppm: No such file",
        ),
    ] {
        let folder = Folder::new();
        let ran = run(&folder, &flags, damage, "finished-unwritten");
        let complete = "the results above are complete";
        ran.says(1, &[words, complete]);
        shows_results(&ran);
    }
}

#[test]
fn one_file_that_cannot_be_written_does_not_keep_the_other() {
    let folder = Folder::new();
    let flags = ["--json", "/dev/full", "--annotate", "a.png"];
    run(&folder, &flags, "", "finished-half").says(1, &["/dev/full"]);
    assert!(folder.at("a.png").is_file());
}
