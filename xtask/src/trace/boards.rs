//! A trace of deployed boards: all nodes begin one, some frames end, all nodes end it, and the files come here.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tessera_planner::text;

use crate::{
    deploy::{
        over,
        places::{STATE, TRACE, UNIT, UNIT_FILE},
        remote::Remote,
        unit_property,
    },
    flags::{OverArgs, TraceArgs},
    out::note,
};

/// Between two looks at how many frames have ended.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A trace takes so long at least: clocks are compared by heartbeats, which come at least once a second.
const SHORTEST: Duration = Duration::from_secs(4);
/// Tenths of a second that a node has to end its file.
const END_LOOKS: u32 = 50;

/// The beginning of the scripts: the node's process.
fn process() -> String {
    format!("set -u\n{}pid=$(unit MainPID)\n", unit_property())
}

/// Traces the boards of a cluster until `--frames` frames have ended.
///
/// # Errors
/// When a board cannot be reached, runs no node, or one that was deployed without traces; when no frame ends in time.
pub fn run(cluster: &Path, args: &TraceArgs) -> Result<()> {
    let file = over::file(cluster)?;
    let all = OverArgs {
        boards: Vec::new(),
        ssh_config: args.ssh_config.clone(),
        json: false,
    };
    let remotes = over::remotes(&file, &all, false)?;
    let begun = over::each(&remotes, begin);
    let begun = over::all_or_none(begun, "the others may write a trace of 100 MiB at most");
    let counted = begun.and_then(|_| wait(&remotes, args));
    // Whatever happened, nobody goes on writing.
    let ended = over::each(&remotes, end);
    let frames = counted?;
    let texts = over::all_or_none(ended, "the trace is not whole")?;
    let folder = tempfile::tempdir()?;
    let mut files = Vec::new();
    for (k, text) in texts.iter().flatten().enumerate() {
        let path = folder.path().join(format!("{k}.trace"));
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        files.push(path);
    }
    note!(
        "{} of {} ended meanwhile",
        text::plural(frames, "frame"),
        text::plural(remotes.len(), "board")
    );
    super::write(&files, &args.out)
}

/// Lets a node begin a trace. One that somebody else has begun is ended: there is one at a time.
fn begin(remote: &Remote) -> Result<()> {
    let script = process()
        + &format!(
            "[ \"${{pid:-0}}\" -gt 0 ] || {{ echo 'no node runs there: cargo xtask deploy' >&2; exit 1; }}\n\
             grep -q -e --trace-when-asked {UNIT_FILE} || {{ echo 'its node knows no traces: cargo xtask deploy' >&2; exit 1; }}\n\
             cd {STATE} || exit 1\n\
             rm -f {TRACE} {TRACE}.edge\nn=0\n\
             while [ ! -e {TRACE} ]; do\n    \
             [ $n -lt 3 ] || {{ echo 'its node begins no trace: see journalctl -u {UNIT}' >&2; exit 1; }}\n    \
             kill -PROF \"$pid\"\n    sleep 0.5\n    n=$((n + 1))\ndone\n"
        );
    remote.run(&script).map(|_| ())
}

/// Waits until enough frames have ended at all sources together; says how many.
fn wait(remotes: &[Remote], args: &TraceArgs) -> Result<usize> {
    let count = format!(
        "cat {STATE}/{TRACE} {STATE}/{TRACE}.edge 2>/dev/null | grep -c '\"ph\":\"e\".*\"cat\":\"frame\"' || true\n"
    );
    let began = Instant::now();
    let within = Duration::from_secs(args.within);
    loop {
        thread::sleep(LOOK_EVERY);
        let counts = over::each(remotes, |r| -> Result<usize> {
            let said = r.run(&count)?;
            said.trim()
                .parse()
                .with_context(|| format!("{} counts {said:?} frames", r.name))
        });
        let counts = over::all_or_none(counts, "no trace was made")?;
        let frames = counts.iter().sum::<usize>();
        if frames >= args.frames && began.elapsed() >= SHORTEST {
            return Ok(frames);
        }
        if began.elapsed() >= within {
            if frames == 0 {
                bail!(
                    "no frame ended within {} s: does a source bring any? (cargo xtask top)",
                    args.within
                );
            }
            note!(
                "only {} ended within {} s",
                text::plural(frames, "frame"),
                args.within
            );
            return Ok(frames);
        }
    }
}

/// Lets a node end its trace; the file, and that of the edge on a gateway's board. The board keeps neither.
fn end(remote: &Remote) -> Result<Vec<String>> {
    let script = process()
        + &format!(
            "is_whole() {{ [ \"$(tail -c 2 \"$1\" 2>/dev/null)\" = ']' ]; }}\n\
             cd {STATE} || exit 1\n[ -e {TRACE} ] || exit 0\n\
             is_whole {TRACE} || kill -PROF \"$pid\"\nn=0\n\
             while [ $n -lt {END_LOOKS} ]; do\n    is_whole {TRACE} && {{ [ ! -e {TRACE}.edge ] || is_whole {TRACE}.edge; }} && break\n    \
             sleep 0.1\n    n=$((n + 1))\ndone\n"
        );
    remote.run(&script)?;
    let mut texts = Vec::new();
    for name in [TRACE.to_owned(), format!("{TRACE}.edge")] {
        let text = remote.run(&format!(
            "cd {STATE} && if [ -e {name} ]; then cat {name} && rm {name}; fi\n"
        ))?;
        if !text.is_empty() {
            texts.push(text);
        }
    }
    Ok(texts)
}
