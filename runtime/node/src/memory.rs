//! The memory that this process uses.

use tessera_plan::files::statistics::Memory;

/// Reads `/proc/self/status`; zeros where the file is missing.
pub fn now() -> Memory {
    parse(&std::fs::read_to_string("/proc/self/status").unwrap_or_default())
}

/// Reads the text of `/proc/self/status`.
pub(crate) fn parse(status: &str) -> Memory {
    let get = |key: &str| {
        let line = status
            .lines()
            .find_map(|l| l.strip_prefix(key)?.strip_prefix(':'));
        let kb = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
        kb.unwrap_or(0) * 1024
    };
    Memory {
        peak_bytes: get("VmHWM"),
        anonymous_bytes: get("RssAnon"),
        file_bytes: get("RssFile"),
        shared_bytes: get("RssShmem"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_read() {
        let m = parse("Name:\tnode\nVmHWM:\t    2048 kB\nRssAnon:\t 4 kB\nRssFile:\t 8 kB\n");
        assert_eq!(
            m,
            Memory {
                peak_bytes: 2 << 20,
                anonymous_bytes: 4096,
                file_bytes: 8192,
                shared_bytes: 0
            }
        );
        assert!(now().peak_bytes > 0);
    }
}
