//! The sources of `cargo xtask run`: those of flags, or those of the cluster file.

use std::path::Path;

use anyhow::{Result, anyhow, bail};
use tessera_plan::files::{
    cluster::{BYTES_MAX, ClusterFile},
    sources::{self, Fps, Keep, Named, Origin, SourceName, Threshold, TimeoutS},
};

use crate::{files, flags::SourceArgs};

/// A source, and what holds for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The edge that reads it, from 0; `None`: any.
    pub edge: Option<usize>,
    /// Its name.
    pub name: Option<SourceName>,
    /// Where its frames come from.
    pub from: Origin,
    /// Most frames per second.
    pub fps: Option<Fps>,
    /// What becomes of frames that come too fast.
    pub keep: Option<Keep>,
    /// Keep the pictures' shape.
    pub letterbox: Option<bool>,
    /// Boxes that score above it are reported.
    pub thresh: Option<Threshold>,
    /// Time without a frame after which a stream is begun anew.
    pub timeout: Option<TimeoutS>,
}

impl Source {
    /// The table that says this, for a node; with the secrets of a URL.
    pub fn table(&self, name: &SourceName) -> toml::Table {
        let mut table = toml::Table::new();
        table.insert("name".into(), name.to_string().into());
        table.insert("from".into(), self.from.secret().into());
        let numbers = [
            ("fps", self.fps.map(Fps::get)),
            ("timeout", self.timeout.map(TimeoutS::get)),
        ];
        for (key, number) in numbers {
            if let Some(number) = number {
                table.insert(key.into(), number.into());
            }
        }
        if let Some(keep) = self.keep {
            let keep = match keep {
                Keep::All => "all",
                Keep::Newest => "newest",
            };
            table.insert("keep".into(), keep.into());
        }
        if let Some(letterbox) = self.letterbox {
            table.insert("letterbox".into(), letterbox.into());
        }
        table
    }
}

/// The sources of the flags; without any, those of the cluster file.
///
/// # Errors
/// When a flag is about a source that is not there, or there is no end to the frames.
pub fn of(args: &SourceArgs, cluster: Option<&Path>) -> Result<Vec<Source>> {
    let mut sources: Vec<Source> = args.source.iter().map(of_flag).collect();
    if let (true, Some(file)) = (sources.is_empty(), cluster) {
        sources = of_file(file)?;
    }
    apply(&mut sources, &args.fps, "--fps", |s, fps| s.fps = Some(fps))?;
    apply(&mut sources, &args.keep, "--keep", |s, keep| {
        s.keep = Some(keep)
    })?;
    let endless = sources.iter().find(|s| s.from.is_endless());
    if let (Some(source), None) = (endless, args.frames) {
        bail!(
            "{} has no end: say after how many frames the run ends, as in --frames 100",
            source.from
        );
    }
    Ok(sources)
}

fn of_flag(named: &Named<Origin>) -> Source {
    Source {
        edge: None,
        name: named.name.clone(),
        from: named.value.clone(),
        fps: None,
        keep: None,
        letterbox: None,
        thresh: None,
        timeout: None,
    }
}

fn of_file(file: &Path) -> Result<Vec<Source>> {
    // The planner has read it before, and said what is wrong with it.
    let text = files::read(file, BYTES_MAX, "no cluster file is that large")?;
    let read: ClusterFile = toml::from_str(std::str::from_utf8(&text)?)?;
    let mut sources = Vec::new();
    for node in read.nodes().iter().filter(|n| n.is_source()) {
        let edge = usize::from(node.number).checked_sub(1);
        for s in read.sources_of(&node.board.name) {
            sources.push(Source {
                edge,
                name: Some(s.name.clone()),
                from: s.from.clone(),
                fps: s.fps,
                keep: s.keep,
                letterbox: s.letterbox,
                thresh: s.thresh,
                timeout: s.timeout,
            });
        }
    }
    Ok(sources)
}

/// Sets what a flag says of one source or of all.
fn apply<T: Copy>(
    all: &mut [Source],
    values: &[Named<T>],
    flag: &str,
    set: impl Fn(&mut Source, T),
) -> Result<()> {
    let applied = sources::apply(all, values, |s| s.name.as_ref(), set);
    applied.map_err(|name| {
        anyhow!("{flag} {name}=..: no source has that name; --source NAME=.. gives one")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(sources: &[&str]) -> SourceArgs {
        SourceArgs {
            source: sources.iter().map(|s| s.parse().unwrap()).collect(),
            ..SourceArgs::default()
        }
    }

    #[test]
    fn flags_speak_of_one_source_or_of_all() {
        let mut a = args(&["front=a.mp4", "b.mp4"]);
        a.fps = vec!["front=5".parse().unwrap(), "2".parse().unwrap()];
        let found = of(&a, None).unwrap();
        let fps: Vec<f64> = found.iter().map(|s| s.fps.unwrap().get()).collect();
        assert_eq!(fps, [5.0, 2.0]);
        a.keep = vec!["frnt=all".parse().unwrap()];
        let e = of(&a, None).unwrap_err().to_string();
        assert!(e.contains("--keep frnt=..: no source"), "{e}");
    }

    #[test]
    fn cameras_need_an_end() {
        let mut a = args(&["rtsp://me:secret@cam/live"]);
        let e = of(&a, None).unwrap_err().to_string();
        assert!(e.contains("--frames 100") && !e.contains("secret"), "{e}");
        a.frames = Some(3);
        assert_eq!(of(&a, None).unwrap().len(), 1);
    }

    #[test]
    fn the_cluster_file_says_which_edge_reads_what() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cluster.toml");
        let text = "[[board]]\nname = \"hub\"\nroles = [\"gateway\"]\n[[board]]\nname = \"shed\"\nroles = [\"edge\"]\n\
            [[board]]\nname = \"porch\"\n[[board]]\nname = \"yard\"\n\
            [[source]]\nname = \"a\"\nboard = \"yard\"\nfrom = \"a.mp4\"\nkeep = \"newest\"\nletterbox = true\nfps = 2\n\
            [[source]]\nname = \"b\"\nboard = \"porch\"\nfrom = \"b.mp4\"\n";
        std::fs::write(&file, text).unwrap();
        let found = of(&SourceArgs::default(), Some(&file)).unwrap();
        let at: Vec<_> = found
            .iter()
            .map(|s| (s.edge, s.name.as_ref().unwrap().as_str()))
            .collect();
        assert_eq!(at, [(Some(0), "b"), (Some(1), "a")]);
        // What a node reads is what was said.
        let name = found[1].name.clone().unwrap();
        let table = toml::to_string(&found[1].table(&name)).unwrap();
        let read: tessera_plan::files::sources::SourceEntry = toml::from_str(&table).unwrap();
        assert_eq!(
            (read.from, read.fps, read.keep),
            (found[1].from.clone(), found[1].fps, found[1].keep)
        );
        assert_eq!(read.letterbox, Some(true));
        // Flags are meant instead of the file.
        assert_eq!(of(&args(&["c.jpg"]), Some(&file)).unwrap().len(), 1);
    }
}
