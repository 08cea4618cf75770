//! Code that only starting needs, taken out of the resident memory.

use std::{ffi::c_void, fs, ops::Range, ptr::NonNull};

use nix::sys::mman::{MmapAdvise, madvise};

/// Lets go of this program's code and of the constants that lie before it in its file. What runs on is
/// mapped again, 64 KiB around every page it touches; reading flags, checking weights and the roles of
/// other processes are not. Where the system does not say where code lies, nothing happens.
pub fn let_go() {
    let Ok(maps) = fs::read_to_string("/proc/self/maps") else {
        return;
    };
    for range in unwritten(&maps, let_go as *const () as usize) {
        let Some(start) = NonNull::new(range.start as *mut c_void) else {
            continue;
        };
        // SAFETY: the pages are a file's, mapped for reading or execution, and nobody writes them:
        // what relocations write lies behind the code. So dropping them changes no content
        // (madvise(2)), not even of the code that runs here.
        let done = unsafe { madvise(start, range.len(), MmapAdvise::MADV_DONTNEED) };
        // Pages that stay cost memory and nothing else.
        let _ = done;
    }
}

/// A line of `/proc/self/maps`.
struct Mapping<'m> {
    range: Range<usize>,
    perms: &'m str,
    inode: &'m str,
}

fn mapping(line: &str) -> Option<Mapping<'_>> {
    let mut words = line.split_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let parse = |s| usize::from_str_radix(s, 16).ok();
    let (start, end) = (parse(start)?, parse(end)?);
    Some(Mapping {
        range: start..end,
        perms: words.next()?,
        inode: words.nth(2)?,
    })
}

/// The mapping of the code around `here`, and those of the same file before it that are only read;
/// nothing if they are not a file's, or can be written.
fn unwritten(maps: &str, here: usize) -> Vec<Range<usize>> {
    let all: Vec<Mapping<'_>> = maps.lines().filter_map(mapping).collect();
    let Some(at) = all.iter().position(|m| m.range.contains(&here)) else {
        return Vec::new();
    };
    let code = &all[at];
    if code.perms != "r-xp" || code.inode == "0" {
        return Vec::new();
    }
    let before = all[..at].iter().rev();
    before
        .take_while(|m| m.inode == code.inode && m.perms == "r--p")
        .chain([code])
        .map(|m| m.range.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
        0500-0600 r--p 00000000 fe:00 66 /lib/other\n\
        0f00-1000 r--p 00000000 fe:00 77 /bin/node\n\
        1000-3000 r-xp 00001000 fe:00 77 /bin/node\n\
        3000-4000 r--p 00003000 fe:00 77 /bin/node\n\
        4000-5000 rw-p 00004000 fe:00 77 /bin/node\n\
        5000-6000 r-xp 00000000 00:00 0\n\
        nonsense\n";

    #[test]
    fn only_what_nobody_writes_is_found() {
        assert_eq!(unwritten(MAPS, 0x1000), [0xf00..0x1000, 0x1000..0x3000]);
        assert_eq!(unwritten(MAPS, 0x2fff), [0xf00..0x1000, 0x1000..0x3000]);
        for here in [0x500, 0x3000, 0x4000, 0x5000, 0x6000] {
            assert!(unwritten(MAPS, here).is_empty(), "{here:x}");
        }
    }

    #[test]
    fn code_runs_on() {
        let sum = || (0..1000u64).map(std::hint::black_box).sum::<u64>();
        let before = sum();
        let_go();
        assert_eq!(sum(), before);
    }
}
