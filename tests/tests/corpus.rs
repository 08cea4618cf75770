//! Replays the kept fuzz corpora, and some changes of them and of plans besides, without cargo-fuzz.
#![forbid(unsafe_code)]

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tessera_plan::plan::Plan;
use tessera_plan_text::PlanText;
use tessera_planner::options::Target;
use tessera_tests::{fuzz, random::RandomSource};

/// What is done with a file.
type Body = fn(&[u8]);

/// The folder of a corpus.
fn folder(target: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    root.join("fuzz/corpus").join(target)
}

/// The files of a corpus, in the order of names.
fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = folder(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|f| f.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 5, "{}: a corpus", folder.display());
    files
}

/// Feeds every file of a corpus.
fn replay(target: &str, body: Body) {
    for file in corpus(target) {
        println!("{}", file.display());
        body(&std::fs::read(&file).unwrap());
    }
}

/// Makes a few changes: a bit, a byte, a piece less, a piece twice, a piece of another file.
fn change(bytes: &mut Vec<u8>, other: &[u8], d: &mut RandomSource) {
    for _ in 0..d.index(1, 6) {
        let end = bytes.len();
        let from = d.index(0, end);
        let to = (from + d.index(0, 40)).min(end);
        match d.index(0, 5) {
            0 if from < end => bytes[from] ^= 1 << d.index(0, 7),
            1 if from < end => bytes[from] = d.pick(&[0, 1, 9, b'-', b'=', 0x7f, 0x80, 0xff]),
            2 => drop(bytes.drain(from..to)),
            3 => {
                let piece = bytes[from..to].to_vec();
                bytes.splice(from..from, piece);
            }
            4 => bytes.truncate(from),
            _ => {
                let begin = d.index(0, other.len());
                let piece = &other[begin..(begin + d.index(0, 80)).min(other.len())];
                bytes.splice(from..to, piece.iter().copied());
            }
        }
    }
}

/// Feeds changed files of all corpora: a few, or for `TESSERA_FUZZ_SECONDS=N` seconds each.
#[test]
fn changed_files() {
    let seconds = std::env::var("TESSERA_FUZZ_SECONDS").ok();
    let seconds = seconds
        .and_then(|n| n.parse().ok())
        .map(Duration::from_secs);
    let targets: [(&str, Body); 7] = [
        ("cfg", fuzz::cfg),
        ("weights", fuzz::weights),
        ("plan", fuzz::plan),
        ("datagram", fuzz::datagram),
        ("secure", fuzz::secure),
        ("handshake", fuzz::handshake),
        ("sealed", fuzz::sealed),
    ];
    for (target, body) in targets {
        let read = |f: &PathBuf| std::fs::read(f).unwrap();
        let files: Vec<Vec<u8>> = corpus(target).iter().map(read).collect();
        let begun = Instant::now();
        let more = |seed| seconds.map_or(seed < 20, |s| begun.elapsed() < s);
        let mut seed = 0;
        while more(seed) {
            let mut d = RandomSource::new(seed);
            let mut bytes = files[d.index(0, files.len() - 1)].clone();
            let other = &files[d.index(0, files.len() - 1)];
            change(&mut bytes, other, &mut d);
            let run = std::panic::catch_unwind(|| body(&bytes));
            assert!(run.is_ok(), "{target}, seed {seed}");
            seed += 1;
        }
        println!("{target}: {seed} changed files");
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

/// True under `TESSERA_WRITE_CORPUS=1`: files that follow from the code are written anew.
fn writes() -> bool {
    std::env::var_os("TESSERA_WRITE_CORPUS").is_some_and(|v| v == *"1")
}

/// The corpus has plans that today's reader takes; `TESSERA_WRITE_CORPUS=1` writes these files anew, after a
/// change of the schema.
#[test]
fn plans_are_of_this_schema() {
    let small = fuzz::small_plan;
    let plans = [
        ("plan0", small([1, 1], &[6], Target::Portable)),
        ("plan1", small([2, 2], &[2], Target::Portable)),
        ("plan2", small([2, 1], &[2, 4], Target::Portable)),
        ("x86", small([2, 2], &[1], Target::X86_64V3)),
    ];
    let folder = corpus("plan")[0].parent().unwrap().to_owned();
    for (name, plan) in plans {
        let file = folder.join(name).with_extension("toml");
        if writes() {
            std::fs::write(&file, plan.to_toml()).unwrap();
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let kept = Plan::from_toml(&text).unwrap_or_else(|e| {
            panic!("{}: TESSERA_WRITE_CORPUS=1 writes it: {e}", file.display())
        });
        assert_eq!(kept.schema, plan.schema);
    }
}

#[test]
fn datagram() {
    replay("datagram", fuzz::datagram);
}

#[test]
fn secure() {
    replay("secure", fuzz::secure);
    replay("handshake", fuzz::handshake);
    replay("sealed", fuzz::sealed);
}

/// The corpus has the inputs that go through all steps; `TESSERA_WRITE_CORPUS=1` writes these files anew.
#[test]
fn secure_seeds_are_kept() {
    for (target, seeds) in [
        ("secure", fuzz::secure_seeds()),
        ("handshake", fuzz::handshake_seeds()),
        ("sealed", fuzz::sealed_seeds()),
    ] {
        let folder = folder(target);
        for (name, seed) in seeds {
            let file = folder.join(name);
            if writes() {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&file, &seed).unwrap();
            }
            let kept = std::fs::read(&file).unwrap_or_default();
            assert!(
                kept == seed,
                "{}: TESSERA_WRITE_CORPUS=1 writes it",
                file.display()
            );
        }
    }
}

/// The corpus has a datagram of every kind that a small cluster sends, with the headers of today.
/// `TESSERA_WRITE_CORPUS=1` writes these files anew, after a change of the wire.
#[test]
fn datagrams_of_all_kinds_are_of_this_version() {
    // A datagram follows five bytes that say how to send it; its first six are magic, version and kind.
    let opening = |seed: &[u8]| seed.get(5..11).map(<[u8]>::to_vec);
    let files = corpus("datagram");
    let folder = files[0].parent().unwrap();
    let seeds = fuzz::datagram_seeds();
    assert!(seeds.len() >= 10, "{} kinds", seeds.len());
    for (kind, seed) in &seeds {
        let file = folder.join(format!("kind{kind:02}"));
        if writes() {
            std::fs::write(&file, seed).unwrap();
        }
        let kept = std::fs::read(&file).unwrap_or_default();
        assert!(
            opening(&kept).is_some() && opening(&kept) == opening(seed),
            "{}: not of this version of the wire; TESSERA_WRITE_CORPUS=1 writes it",
            file.display()
        );
    }
    // Files of kinds that this cluster happens not to send stay as long as their headers are today's.
    let version = seeds.iter().find_map(|(kind, seed)| {
        let whole = *kind != u8::MAX;
        whole.then(|| opening(seed)?.get(4).copied()).flatten()
    });
    let kinds: Vec<u8> = seeds.iter().map(|(kind, _)| *kind).collect();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy();
        let kind = name.strip_prefix("kind").and_then(|k| k.parse().ok());
        if kind.is_none_or(|kind| kinds.contains(&kind)) {
            continue;
        }
        let found = opening(&std::fs::read(&file).unwrap()).and_then(|o| o.get(4).copied());
        if found != version && writes() {
            std::fs::remove_file(&file).unwrap();
            continue;
        }
        assert_eq!(
            found,
            version,
            "{}: of another version of the wire, and nobody sends it; TESSERA_WRITE_CORPUS=1 removes it",
            file.display()
        );
    }
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
