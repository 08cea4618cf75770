//! Every flag that names a file or a folder, with everything that can lie there. A command says in a line what is wrong,
//! harms nothing and waits for nobody.

use std::{
    fs::{self, FileType},
    io::ErrorKind,
    os::unix::{
        fs::{MetadataExt, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    process::Command,
};

use nix::{sys::stat::Mode, unistd::mkfifo};

use crate::rig::{CONV, Folder, Ran, net};

/// What lies where a flag points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Missing,
    MissingFolder,
    /// A path through a file.
    BeneathFile,
    Folder,
    File,
    Null,
    Full,
    /// A pipe without a reader or writer.
    Pipe,
    Socket,
}

const KINDS: [Kind; 9] = [
    Kind::Missing,
    Kind::MissingFolder,
    Kind::BeneathFile,
    Kind::Folder,
    Kind::File,
    Kind::Null,
    Kind::Full,
    Kind::Pipe,
    Kind::Socket,
];

/// What the file of [`Kind::File`] holds.
const TEXT: &str = "what was here before\n";

impl Kind {
    /// Puts it into a folder; gives its path there.
    fn put(self, folder: &Folder) -> PathBuf {
        let at = folder.at("there");
        match self {
            Self::Missing => {}
            Self::MissingFolder => return folder.at("none/there"),
            Self::BeneathFile => {
                fs::write(folder.at("file"), TEXT).unwrap();
                return folder.at("file/there");
            }
            Self::Folder => fs::create_dir(&at).unwrap(),
            Self::File => fs::write(&at, TEXT).unwrap(),
            Self::Null => return "/dev/null".into(),
            Self::Full => return "/dev/full".into(),
            Self::Pipe => mkfifo(&at, Mode::S_IRWXU).unwrap(),
            // It stays when its listener goes.
            Self::Socket => drop(UnixListener::bind(&at).unwrap()),
        }
        at
    }

    const fn is_there(self) -> bool {
        !matches!(
            self,
            Self::Missing | Self::MissingFolder | Self::BeneathFile
        )
    }
}

/// What a path is, to be compared.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    kind: Option<(FileType, u64)>,
    linked: Option<PathBuf>,
    text: Option<Vec<u8>>,
}

fn seen(path: &Path) -> Seen {
    let meta = fs::symlink_metadata(path).ok();
    let is_file = fs::metadata(path).is_ok_and(|m| m.is_file());
    Seen {
        kind: meta.map(|m| (m.file_type(), m.rdev())),
        linked: fs::read_link(path).ok(),
        text: is_file.then(|| fs::read(path).unwrap()),
    }
}

/// A flag that takes a path, in a command that needs nothing else but the files of [`files`].
struct Flag {
    words: &'static str,
    /// Whether it names a folder.
    folder: bool,
}

const fn file(words: &'static str) -> Flag {
    Flag {
        words,
        folder: false,
    }
}

const fn folder(words: &'static str) -> Flag {
    Flag {
        words,
        folder: true,
    }
}

/// Flags of inputs; `@` stands for the path.
const INPUTS: [Flag; 14] = [
    file("inspect @"),
    file("weights random --out new.weights --model @"),
    file("plan --offload 0 --dry-run --target portable --model @"),
    file("plan --model net.cfg --offload 0 --dry-run --target portable --weights @"),
    file("plan --model net.cfg --offload 0 --dry-run --target armv7 --costs @"),
    file("build --model net.cfg --offload 0 --weights @"),
    file("emit --out crate @"),
    file("emit --out crate plan/plan.toml --weights @"),
    file("calibrate --target armv7 --out table.toml --from @"),
    file("bench --offload 0 --weights random:1 --model @"),
    file("run --offload 0 --image one.ppm --weights random:1 --model @"),
    file("run --offload 0 --image one.ppm --weights random:1 --model net.cfg --names @"),
    file("run --offload 0 --weights random:1 --model net.cfg --image @"),
    file("run --offload 0 --weights random:1 --model net.cfg --input-f32 @"),
];

/// Flags of outputs.
const OUTPUTS: [Flag; 9] = [
    file("weights random --model net.cfg --out @"),
    folder("plan --model net.cfg --grid 1x1 --offload 1 --target portable --out @"),
    folder("emit plan/plan.toml --out @"),
    file("run --offload 0 --image one.ppm --weights random:1 --model net.cfg --json @"),
    file("run --offload 0 --image one.ppm --weights random:1 --model net.cfg --annotate @"),
    folder("run --offload 0 --image one.ppm --weights random:1 --model net.cfg --dump @"),
    file("demo --annotate @"),
    file("calibrate --target armv7 --from results --out @"),
    folder("calibrate --target portable --build-only @"),
];

/// A folder with all that the flags' commands read beside. Nothing can be compiled there.
fn files() -> Folder {
    let case = "case direct-64-128-26\n{\"event\":\"timing\",\"seconds\":[0.1,0.2]}\n";
    let folder = Folder::new()
        .with("net.cfg", net(CONV))
        .with("one.ppm", b"P6\n1 1\n255\nabc")
        .with("results", format!("target armv7\ncore C\n{case}end\n"));
    let plan = "plan --model net.cfg --grid 1x1 --offload 1 --target portable --out plan";
    folder
        .run(&plan.split(' ').collect::<Vec<_>>())
        .says(0, &[]);
    folder
}

fn run(folder: &Folder, flag: &Flag, path: &Path) -> Ran {
    let path = path.to_str().unwrap();
    let words = flag.words.split(' ');
    let words: Vec<&str> = words.map(|w| if w == "@" { path } else { w }).collect();
    folder.run_with(&words, &[("CARGO", "/bin/false")])
}

/// Paths to a kind: itself, and links to it.
fn paths(folder: &Folder, kind: Kind) -> [PathBuf; 3] {
    let itself = kind.put(folder);
    let (link, two) = (folder.at("link"), folder.at("link to link"));
    symlink(&itself, &link).unwrap();
    symlink("link", &two).unwrap();
    [itself, link, two]
}

/// Tries a flag with every kind, and with links to it.
fn each(flag: &Flag, check: impl Fn(Kind, bool, &Ran)) {
    let whole = files();
    for kind in KINDS {
        let folder = Folder::copy_of(&whole);
        let paths = paths(&folder, kind);
        // Links first, while what they lead to is as it was.
        for (i, path) in paths.iter().enumerate().rev() {
            let before = paths.each_ref().map(|p| seen(p));
            let ran = run(&folder, flag, path);
            let case = format!(
                "{} with {kind:?} as {}: {}",
                flag.words,
                path.display(),
                ran.err
            );
            let failed = ran.code != 0;
            if failed {
                assert!(ran.err.contains("error: "), "{case}");
            }
            check(kind, i > 0, &ran);
            let after = paths.each_ref().map(|p| seen(p));
            for (before, after) in before.iter().zip(&after) {
                assert_eq!(before.linked, after.linked, "{case}");
                if kind.is_there() {
                    assert_eq!(before.kind, after.kind, "{case}");
                }
                if failed {
                    assert_eq!(before.text, after.text, "{case}");
                }
            }
        }
    }
}

#[test]
fn inputs() {
    for flag in &INPUTS {
        each(flag, |kind, _, ran| {
            let case = format!("{} with {kind:?}: {}", flag.words, ran.err);
            assert_eq!(ran.code, 1, "{case}");
            // Text is a list of names, too.
            let compiles = ran.err.contains("did not compile");
            assert!(!compiles || kind == Kind::File, "{case}");
            // The file is named, and what it is.
            let name = match kind {
                Kind::Null => "null",
                Kind::Full => "full",
                _ => "there",
            };
            assert!(ran.err.contains(name) || ran.err.contains("link"), "{case}");
            let words: &[&str] = match kind {
                Kind::Missing | Kind::MissingFolder => &["No such file", "there is no cfg"],
                Kind::BeneathFile => &["Not a directory", "there is no cfg"],
                Kind::Folder => &["is a folder", "no regular file"],
                Kind::Null | Kind::Full => &["is a device", "no regular file"],
                Kind::Pipe => &["is a pipe", "no regular file"],
                Kind::Socket => &["is a socket", "no regular file"],
                Kind::File => &["error"],
            };
            assert!(words.iter().any(|w| ran.err.contains(w)), "{case}");
        });
    }
}

#[test]
fn outputs() {
    for flag in &OUTPUTS {
        // Commands that would compile go as far as that.
        let compiles = ["run", "demo", "calibrate --target portable"];
        let compiles = compiles.iter().any(|c| flag.words.starts_with(c));
        each(flag, |kind, is_link, ran| {
            let case = format!("{} with {kind:?}, link: {is_link}: {}", flag.words, ran.err);
            let refused = match kind {
                Kind::BeneathFile => true,
                Kind::Missing | Kind::MissingFolder => flag.folder && is_link,
                Kind::Folder => !flag.folder,
                Kind::File | Kind::Null => flag.folder,
                Kind::Full => flag.folder || !compiles,
                Kind::Pipe | Kind::Socket => true,
            };
            let name = flag
                .words
                .rsplit(' ')
                .find(|w| w.starts_with("--"))
                .unwrap();
            if refused {
                assert_eq!(ran.code, 1, "{case}");
                assert!(ran.err.contains(name), "{case}");
                assert!(!ran.err.contains("did not compile"), "{case}");
            } else if compiles {
                assert!(
                    ran.err.contains("did not compile") && ran.code == 1,
                    "{case}"
                );
            } else {
                assert_eq!(ran.code, 0, "{case}");
            }
        });
    }
}

/// Makes a file that nobody can change, by the file system's own mark; `None` where there is none, or no right to it.
fn locked(path: &Path) -> Option<Locked> {
    fs::write(path, TEXT).unwrap();
    let done = Command::new("chattr").arg("+i").arg(path).output();
    let locked = done
        .is_ok_and(|d| d.status.success())
        .then(|| Locked(path.into()));
    let denied = fs::File::options().append(true).open(path);
    let denied = denied.is_err_and(|e| e.kind() == ErrorKind::PermissionDenied);
    locked.filter(|_| denied)
}

/// Unlocks when it goes, so that the folder can be removed.
struct Locked(PathBuf);

impl Drop for Locked {
    fn drop(&mut self) {
        let _ = Command::new("chattr").arg("-i").arg(&self.0).output();
    }
}

/// Without the right to mark files, a user other than root is stopped by their permissions alone.
fn read_only(path: &Path) -> Option<Locked> {
    locked(path).or_else(|| {
        let mut mode = fs::metadata(path).unwrap().permissions();
        mode.set_readonly(true);
        fs::set_permissions(path, mode).unwrap();
        let denied = fs::File::options().append(true).open(path).is_err();
        denied.then(|| Locked(path.into()))
    })
}

#[test]
fn read_only_files() {
    let whole = files();
    for flag in OUTPUTS.iter().filter(|f| !f.folder) {
        let folder = Folder::copy_of(&whole);
        let there = folder.at("there");
        let Some(_locked) = read_only(&there) else {
            eprintln!("ignored: nothing here is read-only for this user");
            return;
        };
        symlink("there", folder.at("link")).unwrap();
        for path in [&there, &folder.at("link")] {
            let before = seen(path);
            let ran = run(&folder, flag, path);
            ran.says(1, &["cannot write a file"]);
            let why = ["not permitted", "Permission denied"];
            assert!(why.iter().any(|w| ran.err.contains(w)), "{}", ran.err);
            assert_eq!(before, seen(path), "{}", flag.words);
        }
    }
}
