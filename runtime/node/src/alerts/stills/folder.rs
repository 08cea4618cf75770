//! A folder of pictures that never outgrows its bounds: the oldest ones go. Other files in it are left alone.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::PathBuf,
};

/// What names of pictures begin and end with. Nothing else is counted or removed.
const BEGIN: &str = "tessera-";
const END: &str = ".jpg";
/// What the name of an unfinished picture begins and ends with beside.
const HIDDEN: &str = ".tessera-";
const UNFINISHED: &str = ".part";
/// Most entries of a folder that are looked at.
const ENTRIES_MAX: usize = 1 << 20;
/// Most pictures with one name but for a number.
const SAME_MAX: u32 = 100;

/// See the module.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Most pictures, and most bytes of all.
    max: usize,
    bytes_max: u64,
    /// The pictures that are there, the oldest first, with their bytes; `None` until the folder could be read.
    kept: Option<VecDeque<(String, u64)>>,
}

impl Folder {
    /// A folder that keeps so many pictures and bytes. It is made and read with the first picture.
    pub const fn new(path: PathBuf, max: usize, bytes_max: u64) -> Self {
        Self {
            path,
            max,
            bytes_max,
            kept: None,
        }
    }

    /// Saves a picture as `tessera-NAME.jpg`; returns the file's name. Whoever lists the folder sees the whole picture or none.
    ///
    /// # Errors
    /// The system's, or when the picture alone is more than the folder may hold.
    pub fn save(&mut self, name: &str, picture: &[u8]) -> io::Result<String> {
        let bytes = picture.len() as u64;
        if bytes > self.bytes_max {
            return Err(io::Error::new(
                ErrorKind::FileTooLarge,
                format!("{bytes} bytes are more than the folder may hold"),
            ));
        }
        let mut kept = match self.kept.take() {
            Some(kept) => kept,
            None => self.read()?,
        };
        let saved = self.save_among(&mut kept, name, picture);
        self.kept = Some(kept);
        saved
    }

    fn save_among(
        &self,
        kept: &mut VecDeque<(String, u64)>,
        name: &str,
        picture: &[u8],
    ) -> io::Result<String> {
        let bytes = picture.len() as u64;
        self.make_room(kept, bytes)?;
        let names = (1..=SAME_MAX).map(|n| match n {
            1 => format!("{BEGIN}{name}{END}"),
            n => format!("{BEGIN}{name}-{n}{END}"),
        });
        let is_free = |name: &String| kept.iter().all(|(k, _)| k != name);
        let free = { names }.find(is_free);
        let name = free.ok_or_else(|| io::Error::from(ErrorKind::AlreadyExists))?;
        let unfinished = self.path.join(format!(".{name}{UNFINISHED}"));
        let write = || {
            let mut file = File::create(&unfinished)?;
            file.write_all(picture)?;
            file.sync_all()?;
            fs::rename(&unfinished, self.path.join(&name))
        };
        if let Err(e) = write() {
            let _ = fs::remove_file(&unfinished);
            return Err(e);
        }
        kept.push_back((name.clone(), bytes));
        Ok(name)
    }

    /// Removes the oldest pictures until another one of so many bytes has its place.
    fn make_room(&self, kept: &mut VecDeque<(String, u64)>, bytes: u64) -> io::Result<()> {
        let mut sum: u64 = kept.iter().map(|(_, n)| n).sum();
        while kept.len() >= self.max || sum.saturating_add(bytes) > self.bytes_max {
            let Some((oldest, n)) = kept.front() else {
                return Ok(());
            };
            match fs::remove_file(self.path.join(oldest)) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
                _ => sum -= n,
            }
            kept.pop_front();
        }
        Ok(())
    }

    /// Makes the folder if need be, and finds the pictures of earlier runs. Unfinished ones go.
    fn read(&self) -> io::Result<VecDeque<(String, u64)>> {
        fs::create_dir_all(&self.path)?;
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.path)?.take(ENTRIES_MAX) {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let metadata = match entry.metadata() {
                Ok(metadata) if metadata.is_file() => metadata,
                _ => continue,
            };
            if name.starts_with(HIDDEN) && name.ends_with(UNFINISHED) {
                fs::remove_file(entry.path())?;
            } else if name.starts_with(BEGIN) && name.ends_with(END) {
                kept.push((name, metadata.len()));
            }
        }
        // Their names begin with their times.
        kept.sort_unstable();
        Ok(kept.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &std::path::Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_oldest_go_and_what_is_not_ours_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/stills");
        fs::create_dir_all(&path).unwrap();
        for theirs in ["holiday.jpg", "tessera-notes.txt"] {
            fs::write(path.join(theirs), [0; 5000]).unwrap();
        }
        fs::write(path.join(".tessera-0.jpg.part"), "half a picture").unwrap();
        let mut folder = Folder::new(path.clone(), 3, 1000);
        for k in 1..=5 {
            let name = folder.save(&k.to_string(), &[7; 100]).unwrap();
            assert_eq!(name, format!("tessera-{k}.jpg"));
        }
        let kept = [
            "holiday.jpg",
            "tessera-3.jpg",
            "tessera-4.jpg",
            "tessera-5.jpg",
            "tessera-notes.txt",
        ];
        assert_eq!(names(&path), kept);
        // Those of an earlier run count; by bytes, two have to go.
        let mut folder = Folder::new(path.clone(), 3, 1000);
        folder.save("6", &[7; 900]).unwrap();
        assert_eq!(
            names(&path),
            [
                "holiday.jpg",
                "tessera-5.jpg",
                "tessera-6.jpg",
                "tessera-notes.txt"
            ]
        );
        assert!(folder.save("7", &[7; 1001]).is_err());
        // Somebody else may remove pictures; one name is not taken twice.
        fs::remove_file(path.join("tessera-5.jpg")).unwrap();
        assert_eq!(folder.save("6", &[1; 50]).unwrap(), "tessera-6-2.jpg");
        assert_eq!(fs::read(path.join("tessera-6-2.jpg")).unwrap(), [1; 50]);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stills");
        fs::write(&path, "a file").unwrap();
        let mut folder = Folder::new(path.clone(), 3, 1000);
        assert!(folder.save("1", &[7; 100]).is_err());
        fs::remove_file(&path).unwrap();
        folder.save("2", &[7; 100]).unwrap();
        // Its disk is full: the folder of a picture that cannot be renamed keeps no half of it.
        fs::create_dir(path.join("tessera-3.jpg")).unwrap();
        assert!(folder.save("3", &[7; 100]).is_err());
        assert_eq!(names(&path), ["tessera-2.jpg", "tessera-3.jpg"]);
    }
}
