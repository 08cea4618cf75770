//! Which sources a node is to read: those of the command line, or those that `cluster.toml` gives to its board.

use std::time::Duration;

use super::expand::{self, Item};
use crate::{args::Args, error::NodeError};
use tessera_plan::files::sources::{
    self, Keep, Named, Origin, SOURCES_MAX, SourceEntry, SourceName,
};

/// A source that is to be read.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its name; `None` for pictures that were given none.
    pub name: Option<SourceName>,
    /// Its parts, one behind the other.
    pub items: Vec<Item>,
    /// Most frames per second.
    pub fps: Option<f64>,
    /// What becomes of frames that come too fast.
    pub keep: Option<Keep>,
    /// Keep the pictures' shape.
    pub letterbox: bool,
    /// Time without a frame after which a stream is begun anew.
    pub timeout: Option<Duration>,
}

/// All sources that are wanted. `letterbox` is what holds for those that say nothing of it.
///
/// # Errors
/// When a source leads nowhere, two have one name, or a flag is about a source that is not there.
pub fn all(a: &Args, letterbox: bool) -> Result<Vec<Wanted>, NodeError> {
    let mut all = Vec::new();
    if !a.images.is_empty() {
        all.push(Wanted {
            name: None,
            items: vec![Item::Pictures(a.images.clone())],
            fps: None,
            keep: None,
            letterbox,
            timeout: None,
        });
    }
    for named in &a.sources {
        let failed = expand::failed(&named.value);
        if let Some(entries) = expand::tables(&named.value).map_err(&failed)? {
            for entry in &entries {
                all.push(of_entry(entry, letterbox)?);
            }
            continue;
        }
        let Some(streams) = expand::streams(&named.value).map_err(&failed)? else {
            all.push(wanted(named.clone(), letterbox)?);
            continue;
        };
        for stream in streams {
            all.push(wanted(stream, letterbox)?);
        }
    }
    // Whoever says on the command line what to look at means nothing else.
    if all.is_empty() {
        for entry in &a.listed {
            all.push(of_entry(entry, letterbox)?);
        }
    }
    if all.len() > SOURCES_MAX {
        return Err(NodeError::Usage(format!(
            "{} sources; a node reads up to {SOURCES_MAX}, so give some to another board",
            all.len()
        )));
    }
    name_streams(&mut all)?;
    apply(&mut all, &a.fps, "--fps", |w, fps| w.fps = Some(fps.get()))?;
    apply(&mut all, &a.keep, "--keep", |w, keep| w.keep = Some(keep))?;
    apply(&mut all, &a.timeouts, "--timeout", |w, t| {
        w.timeout = Some(Duration::from_secs_f64(t.get()));
    })?;
    Ok(all)
}

fn of_entry(entry: &SourceEntry, letterbox: bool) -> Result<Wanted, NodeError> {
    let named = Named {
        name: Some(entry.name.clone()),
        value: entry.from.clone(),
    };
    Ok(Wanted {
        fps: entry.fps.map(|f| f.get()),
        keep: entry.keep,
        timeout: entry.timeout.map(|t| Duration::from_secs_f64(t.get())),
        ..wanted(named, entry.letterbox.unwrap_or(letterbox))?
    })
}

fn wanted(named: Named<Origin>, letterbox: bool) -> Result<Wanted, NodeError> {
    Ok(Wanted {
        name: named.name,
        items: expand::expand(&named.value).map_err(expand::failed(&named.value))?,
        fps: None,
        keep: None,
        letterbox,
        timeout: None,
    })
}

/// Names those that need a name and have none: streams; and checks that names differ.
fn name_streams(all: &mut [Wanted]) -> Result<(), NodeError> {
    let mut names: Vec<SourceName> = Vec::new();
    for name in all.iter().filter_map(|w| w.name.clone()) {
        if names.contains(&name) {
            return Err(NodeError::Usage(format!(
                "two sources are called {name}; give one another name"
            )));
        }
        names.push(name);
    }
    for wanted in all.iter_mut().filter(|w| w.name.is_none()) {
        let stream = wanted.items.iter().find_map(|item| match item {
            Item::Stream(stream) => Some(stream),
            Item::Pictures(_) => None,
        });
        let Some(stream) = stream.filter(|s| !s.is_file()) else {
            continue;
        };
        let made = stream.name();
        let mut name = made.clone();
        let mut number = 1;
        while names.contains(&name) {
            number += 1;
            name = made.numbered(number);
        }
        names.push(name.clone());
        wanted.name = Some(name);
    }
    Ok(())
}

/// Sets what a flag says: of the source that it names, or of all that say nothing of it.
fn apply<T: Copy>(
    all: &mut [Wanted],
    values: &[Named<T>],
    flag: &str,
    set: impl Fn(&mut Wanted, T),
) -> Result<(), NodeError> {
    let Err(name) = sources::apply(all, values, |w| w.name.as_ref(), set) else {
        return Ok(());
    };
    let names: Vec<&str> = all
        .iter()
        .filter_map(|w| Some(w.name.as_ref()?.as_str()))
        .collect();
    let known = if names.is_empty() {
        "no source has a name: --source NAME=.. gives one".into()
    } else {
        format!("sources are {}", names.join(", "))
    };
    Err(NodeError::Usage(format!("{flag} {name}=..: {known}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(a: &Args) -> Result<Vec<Wanted>, String> {
        all(a, false).map_err(|e| e.to_string())
    }

    fn args(sources: &[&str]) -> Args {
        Args {
            sources: sources.iter().map(|s| s.parse().unwrap()).collect(),
            ..Args::default()
        }
    }

    #[test]
    fn streams_get_names_and_flags_find_them() {
        let mut a = args(&["rtsp://cam/a", "rtsp://cam/b", "front=test:", "test:"]);
        a.fps = vec!["front=5".parse().unwrap(), "2".parse().unwrap()];
        a.keep = vec!["cam-2=all".parse().unwrap()];
        a.timeouts = vec!["front=1.5".parse().unwrap()];
        let all = of(&a).unwrap();
        let shown: Vec<_> = all
            .iter()
            .map(|w| (w.name.as_ref().unwrap().as_str(), w.fps.unwrap(), w.keep))
            .collect();
        let expected = [
            ("cam", 2.0, None),
            ("cam-2", 2.0, Some(Keep::All)),
            ("front", 5.0, None),
            ("test", 2.0, None),
        ];
        assert_eq!(shown, expected);
        assert_eq!(all[2].timeout, Some(Duration::from_millis(1500)));
    }

    #[test]
    fn mistakes_are_named() {
        let mut a = args(&["front=test:"]);
        a.fps = vec!["frnt=5".parse().unwrap()];
        assert!(of(&a).unwrap_err().contains("sources are front"));
        assert!(
            of(&args(&["a=test:", "a=test:"]))
                .unwrap_err()
                .contains("two sources are called a")
        );
        let many: Vec<&str> = vec!["test:"; SOURCES_MAX + 1];
        assert!(of(&args(&many)).unwrap_err().contains("another board"));
        let e = of(&args(&["none.jpg"])).unwrap_err();
        assert!(e.contains("none.jpg: nothing is there"), "{e}");
    }

    #[test]
    fn the_cluster_file_speaks_where_the_command_line_does_not() {
        let mut a = Args::default();
        let entry =
            "name = \"yard\"\nfrom = \"test:\"\nfps = 3\nletterbox = true\nkeep = \"all\"\n";
        a.listed = vec![toml::from_str(entry).unwrap()];
        let all = of(&a).unwrap();
        assert_eq!(
            (all[0].fps, all[0].keep, all[0].letterbox),
            (Some(3.0), Some(Keep::All), true)
        );
        a.images = vec!["a.jpg".into()];
        let all = of(&a).unwrap();
        assert!(all.len() == 1 && all[0].name.is_none());
    }
}
