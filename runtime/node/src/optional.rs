//! Files that people may ask for beside the records: statistics and dumps. A failure to write them costs
//! nothing else: the node checks their paths before its work begins, and never waits for their readers.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::{
    fcntl::OFlag,
    unistd::{AccessFlags, access},
};

/// Checks that `path` can be written, without writing.
///
/// # Errors
/// When `path` is a folder or a socket, has no parent folder, or is not writable.
pub fn check(path: &Path) -> io::Result<()> {
    let error = |what: &str| Err(io::Error::other(what));
    match fs::metadata(path) {
        Ok(m) if m.is_dir() => error("is a folder; name a file"),
        Ok(m) if m.file_type().is_socket() => error("is a socket; name a file or a pipe"),
        Ok(_) => Ok(access(path, AccessFlags::W_OK)?),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let folder = match path.parent() {
                Some(p) if !p.as_os_str().is_empty() => p,
                _ => Path::new("."),
            };
            match fs::read_link(path) {
                // A link to a file that is yet to be made. There are not many such links in a row, or the
                // system would not have said that the last one is missing.
                Ok(target) => check(&folder.join(target)),
                Err(_) => Ok(access(folder, AccessFlags::W_OK)?),
            }
        }
        Err(e) => Err(e),
    }
}

/// Writes a file: a regular file whole or not at all, any other kind (a device, a pipe) in place. A pipe
/// without a reader, or a full pipe, is an error.
///
/// # Errors
/// When the system did not take all of `bytes`.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::metadata(path) {
        // Through links: what is renamed onto a link replaces the link.
        Ok(m) if m.is_file() => write_whole(&fs::canonicalize(path)?, bytes),
        Err(e) if e.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {
            write_whole(path, bytes)
        }
        _ => write_in_place(path, bytes),
    }
}

/// Writes a temporary file beside `path` and renames it.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = part(path);
    // Of an earlier life; or a link, which must not be followed.
    let _ = fs::remove_file(&part);
    let mut file = match File::create_new(&part) {
        Ok(file) => file,
        // A folder that takes no new files may have one that can be written.
        Err(e) => return write_in_place(path, bytes).map_err(|_| e),
    };
    let done = file.write_all(bytes).and_then(|()| fs::rename(&part, path));
    if done.is_err() {
        let _ = fs::remove_file(&part);
    }
    done
}

fn part(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or(OsStr::new("")).to_owned();
    name.push(".part");
    path.with_file_name(name)
}

fn write_in_place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(OFlag::O_NONBLOCK.bits() | OFlag::O_NOCTTY.bits())
        .open(path)?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::symlink, net::UnixListener};

    use nix::{sys::stat::Mode, unistd::mkfifo};

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_through_links() {
        let dir = tempfile::tempdir().unwrap();
        let [file, link, dangling] = ["file", "link", "dangling"].map(|n| dir.path().join(n));
        write(&file, b"one").unwrap();
        symlink(&file, &link).unwrap();
        write(&link, b"two").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"two");
        symlink(dir.path().join("new"), &dangling).unwrap();
        check(&dangling).unwrap();
        write(&dangling, b"three").unwrap();
        assert!(dangling.is_symlink());
        assert_eq!(fs::read(dir.path().join("new")).unwrap(), b"three");
        // What somebody put where the part is made is not followed.
        symlink(&file, dir.path().join("other.part")).unwrap();
        write(&dir.path().join("other"), b"four").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 5);
    }

    #[test]
    fn what_is_no_file_stays_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let [pipe, socket, link] = ["pipe", "socket", "link"].map(|n| dir.path().join(n));
        mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        symlink("/dev/null", &link).unwrap();
        let null = Path::new("/dev/null");
        for path in [null, &link] {
            check(path).unwrap();
            write(path, b"text").unwrap();
            assert!(fs::metadata(path).unwrap().file_type().is_char_device());
        }
        assert!(link.is_symlink());
        let full = write(Path::new("/dev/full"), b"text").unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        check(&pipe).unwrap();
        assert!(write(&pipe, b"text").is_err(), "nobody reads");
        let reader = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(&pipe)
            .unwrap();
        write(&pipe, b"text").unwrap();
        assert!(write(&pipe, &[0; 1 << 20]).is_err(), "it is full");
        drop(reader);
        let nowhere = dir.path().join("nowhere");
        symlink("no/file", &nowhere).unwrap();
        for bad in [&socket, dir.path(), &dir.path().join("no/file"), &nowhere] {
            assert!(check(bad).is_err(), "{}", bad.display());
            assert!(write(bad, b"text").is_err(), "{}", bad.display());
        }
        assert!(fs::metadata(&socket).unwrap().file_type().is_socket());
    }
}
