//! Recognises files that people hand over as weights by mistake.

use super::error::WeightsError;

pub(super) fn sniff(bytes: &[u8]) -> Result<(), WeightsError> {
    let foreign = |what, help| Err(WeightsError::Foreign { what, help });
    let head = &bytes[..bytes.len().min(1 << 16)];
    let text = head.trim_ascii_start();
    let begins =
        |s: &str| text.len() >= s.len() && text[..s.len()].eq_ignore_ascii_case(s.as_bytes());
    if begins("version https://git-lfs") {
        return foreign(
            "a Git LFS pointer",
            "fetch the real file with `git lfs pull`",
        );
    }
    if begins("<!doctype") || begins("<html") || begins("<?xml") {
        return foreign(
            "an HTML page",
            "the download link led to a web page; fetch the file itself",
        );
    }
    if head.starts_with(b"PK\x03\x04") {
        return foreign(
            "a zip archive (PyTorch files are zip archives too)",
            "give weights in Darknet's format",
        );
    }
    if head.starts_with(b"\x80\x02") || head.starts_with(b"\x80\x04") {
        return foreign(
            "a Python pickle, as PyTorch writes it",
            "give weights in Darknet's format",
        );
    }
    if head.starts_with(b"\x1f\x8b") {
        return foreign("a gzip archive", "unpack it first");
    }
    if head.starts_with(b"\x08")
        && head
            .windows(4)
            .take(256)
            .any(|w| w == b"onnx" || w == b"ytor")
    {
        return foreign("an ONNX model", "give weights in Darknet's format");
    }
    if head.starts_with(b"\x89HDF") {
        return foreign("a Keras (HDF5) model", "give weights in Darknet's format");
    }
    if head.starts_with(b"\x89PNG") || head.starts_with(b"\xff\xd8\xff") {
        return foreign("a picture", "give the .weights file");
    }
    let section = text.first() == Some(&b'[')
        || (text.first() == Some(&b'#') && head.windows(5).any(|w| w == b"[net]"));
    if section && head.iter().all(|b| (9..127).contains(b)) {
        return foreign("a cfg", "were cfg and weights swapped?");
    }
    if head.len() >= 16 && head.iter().all(|b| (9..127).contains(b)) {
        return foreign("text", "give the binary .weights file");
    }
    // Binary data sent through a text encoding: every byte that is no UTF-8 became EF BF BD.
    let replaced = head.windows(3).filter(|w| *w == b"\xef\xbf\xbd").count();
    if head.len() >= 64 && replaced * 20 > head.len() / 3 {
        return foreign(
            "binary data mangled by a text encoding",
            "fetch it again in binary mode; these bytes cannot be restored",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::sniff;

    #[test]
    fn foreign_files_are_named() {
        for (bytes, word) in [
            (
                &b"version https://git-lfs.github.com/spec/v1\noid sha256:0"[..],
                "LFS",
            ),
            (b"<!DOCTYPE html><html><body>", "HTML"),
            (b"PK\x03\x04\0\0\0\0\0\0\0\0\0\0\0\0\0", "zip"),
            (b"[net]\nwidth=416\nheight=416\n", "a cfg"),
            (b"hello there, this is some text", "text"),
        ] {
            let e = sniff(bytes).unwrap_err().to_string();
            assert!(e.contains(word), "{e}");
        }
        let mangled = b"\x00\x00\xef\xbf\xbd\xef\xbf\xbd\x3f\xef\xbf\xbd".repeat(20);
        assert!(sniff(&mangled).unwrap_err().to_string().contains("mangled"));
        assert!(
            sniff(&[
                0, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 0, 1, 2, 3, 200, 100, 90, 7
            ])
            .is_ok()
        );
    }
}
