//! Code that only starting needs, taken out of the resident memory.

use std::{ffi::c_void, fs, ptr::NonNull};

use nix::sys::mman::{MmapAdvise, madvise};

/// Lets go of this program's code. What runs on is mapped again, 64 KiB around every page it touches;
/// reading flags, checking weights and the roles of other processes are not. Where the system does not
/// say where code lies, nothing happens.
pub fn let_go() {
    let Ok(maps) = fs::read_to_string("/proc/self/maps") else {
        return;
    };
    let here = let_go as *const () as usize;
    let Some((start, len)) = maps.lines().find_map(|line| code_around(line, here)) else {
        return;
    };
    let Some(start) = NonNull::new(start as *mut c_void) else {
        return;
    };
    // SAFETY: the pages are a file's, private, readable and executable and never written: dropping
    // them changes no content (madvise(2)), not even of the code that runs here.
    let done = unsafe { madvise(start, len, MmapAdvise::MADV_DONTNEED) };
    // Pages that stay cost memory and nothing else.
    let _ = done;
}

/// Start and length of a line of `/proc/self/maps`, if it maps a file's unwritable code around `here`.
fn code_around(line: &str, here: usize) -> Option<(usize, usize)> {
    let mut words = line.split_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let parse = |s| usize::from_str_radix(s, 16).ok();
    let (start, end) = (parse(start)?, parse(end)?);
    let inode = words.clone().nth(3)?;
    let fits = words.next()? == "r-xp" && inode != "0" && (start..end).contains(&here);
    fits.then(|| (start, end - start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_is_found() {
        let line = |perms, inode| format!("1000-3000 {perms} 00001000 fe:00 {inode} /bin/node");
        let at = |perms, inode, here| code_around(&line(perms, inode), here);
        assert_eq!(at("r-xp", 77, 0x1000), Some((0x1000, 0x2000)));
        assert_eq!(at("r-xp", 77, 0x2fff), Some((0x1000, 0x2000)));
        assert_eq!(at("r-xp", 77, 0x3000), None);
        assert_eq!(at("r--p", 77, 0x1000), None);
        assert_eq!(at("rwxp", 77, 0x1000), None);
        assert_eq!(at("r-xp", 0, 0x1000), None);
        assert_eq!(code_around("nonsense", 0), None);
    }

    #[test]
    fn code_runs_on() {
        let sum = || (0..1000u64).map(std::hint::black_box).sum::<u64>();
        let before = sum();
        let_go();
        assert_eq!(sum(), before);
    }
}
