use std::{io::Read, os::unix::fs::symlink};

use nix::{sys::stat::Mode, unistd::mkfifo};

use super::*;

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    Output::check("--json", path)?.write(bytes)
}

fn refusal(path: &Path) -> String {
    let e = Output::check("--json", path).unwrap_err();
    format!("{e:#}")
}

#[test]
fn files_are_replaced_whole_and_keep_their_permissions() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write(&at("new/deep/a"), b"long text").unwrap();
    std::fs::set_permissions(at("new/deep/a"), Permissions::from_mode(0o640)).unwrap();
    write(&at("new/deep/a"), b"short").unwrap();
    assert_eq!(std::fs::read(at("new/deep/a")).unwrap(), b"short");
    let mode = std::fs::metadata(at("new/deep/a")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o640);
    // Nothing else is left, also where nothing was written in the end.
    drop(Output::check("--json", &at("new/deep/b")).unwrap());
    assert_eq!(std::fs::read_dir(at("new/deep")).unwrap().count(), 1);
}

#[test]
fn links_stay_links() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir(at("there")).unwrap();
    symlink("there/file", at("dangling")).unwrap();
    symlink("dangling", at("two")).unwrap();
    for text in [b"first", b"later"] {
        write(&at("two"), text).unwrap();
        assert_eq!(std::fs::read(at("there/file")).unwrap(), text);
        assert!(at("two").is_symlink() && at("dangling").is_symlink());
    }
    symlink("circle", at("circle")).unwrap();
    assert!(
        refusal(&at("circle")).contains("Too many levels"),
        "{}",
        refusal(&at("circle"))
    );
}

#[test]
fn devices_pipes_and_folders() {
    let dir = tempfile::tempdir().unwrap();
    let null = Path::new("/dev/null");
    write(null, b"x").unwrap();
    assert!(!std::fs::metadata(null).unwrap().is_file());
    let full = Output::check("--json", Path::new("/dev/full")).unwrap();
    let e = format!("{:#}", full.write(b"x").unwrap_err());
    assert!(
        e.contains("--json: cannot write /dev/full: No space left"),
        "{e}"
    );
    assert!(refusal(dir.path()).contains("is a folder"));
    let socket = dir.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(refusal(&socket).contains("cannot write a socket: only a file"));
    let pipe = dir.path().join("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    assert!(refusal(&pipe).contains("cannot write a pipe: nobody reads it"));
    // A reader gets everything, and meets no end before.
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || {
            let mut text = Vec::new();
            File::open(pipe).unwrap().read_to_end(&mut text).unwrap();
            text
        }
    });
    let output = loop {
        match Output::check("--json", &pipe) {
            Ok(output) => break output,
            Err(_) => std::thread::yield_now(),
        }
    };
    let long = vec![7; 300_000];
    output.write(&long).unwrap();
    drop(output);
    assert!(reader.join().unwrap() == long);
}
