//! Replays the kept fuzz corpora, and some edits of plans besides, without cargo-fuzz.
#![forbid(unsafe_code)]

use std::path::Path;

use tessera_tests::fuzz;

/// Feeds every file of a corpus, in the order of names.
fn replay(target: &str, body: fn(&[u8])) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = root.join("fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|f| f.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 5, "{}: a corpus", folder.display());
    for file in files {
        println!("{}", file.display());
        body(&std::fs::read(&file).unwrap());
    }
}

#[test]
fn cfg() {
    replay("cfg", fuzz::cfg);
}

#[test]
fn weights() {
    replay("weights", fuzz::weights);
}

#[test]
fn plan() {
    replay("plan", fuzz::plan);
}

#[test]
fn datagram() {
    replay("datagram", fuzz::datagram);
}

/// A few of the edits that the fuzz target makes; `TESSERA_PLAN_EDITS=N` tries more.
#[test]
fn edited_plans() {
    let n = std::env::var("TESSERA_PLAN_EDITS").ok();
    let n = n.and_then(|n| n.parse().ok()).unwrap_or(60u64);
    for seed in 0..n {
        let mut d = tessera_tests::random::RandomSource::new(seed);
        let mut bytes = vec![0, d.word() as u8];
        for _ in 0..d.index(1, 3) {
            bytes.extend_from_slice(&(d.word() as u32).to_le_bytes());
        }
        let run = std::panic::catch_unwind(|| fuzz::plan(&bytes));
        assert!(run.is_ok(), "seed {seed}: {bytes:?}");
    }
}
