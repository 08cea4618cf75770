//! What results call a picture: its file's name without ending.

use std::path::Path;

use tessera_plan::files::records::Subject;

/// Most bytes of a name: a file system's limit is 255, and an ending follows.
const BYTES_MAX: usize = 200;

/// The stem of the picture's file, with the number of a video's frame; `front_000007` for a frame that has none, as a camera's
/// called `front`, and `source1_000007` if the camera is called nothing. A source says the name, perhaps
/// over a network: what is left of it is one plain file name.
pub(super) fn stem(subject: &Subject) -> String {
    let file = subject.file.as_deref().unwrap_or_default();
    let (file, number) = frame_of_video(file);
    let stem = Path::new(file).file_stem().and_then(|s| s.to_str());
    let plain = |c: char| {
        if c == '/' || c == '\\' || c.is_control() {
            '_'
        } else {
            c
        }
    };
    let mut stem: String = stem.unwrap_or_default().chars().map(plain).collect();
    while stem.len() > BYTES_MAX {
        stem.remove(0);
    }
    if stem.trim_matches('.').is_empty() {
        let source = subject.source_name.as_deref().map(|name| {
            name.replace(
                |c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c),
                "_",
            )
        });
        let source = source.filter(|s| !s.is_empty());
        let source = source.unwrap_or_else(|| format!("source{}", subject.source));
        return format!("{source}_{:06}", subject.frame);
    }
    number.map_or(stem.clone(), |number| format!("{stem}_{number}"))
}

/// `clip.mp4#000012` is frame 12 of a video.
fn frame_of_video(file: &str) -> (&str, Option<&str>) {
    match file.rsplit_once('#') {
        Some((video, number))
            if number.len() >= 6
                && number.len() <= 20
                && number.bytes().all(|b| b.is_ascii_digit()) =>
        {
            (video, Some(number))
        }
        _ => (file, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(file: Option<&str>) -> String {
        stem(&Subject {
            source: 3,
            frame: 7,
            file: file.map(Into::into),
            ..Subject::default()
        })
    }

    #[test]
    fn a_name_is_one_plain_file_name() {
        assert_eq!(of(Some("photos/street 1.jpg")), "street 1");
        assert_eq!(of(Some("000000000139.jpg")), "000000000139");
        assert_eq!(of(Some("a.tar.gz")), "a.tar");
        assert_eq!(of(None), "source3_000007");
        for hostile in ["..", "/", "", "a/..", ".", "../.."] {
            assert_eq!(of(Some(hostile)), "source3_000007", "{hostile:?}");
        }
        assert_eq!(of(Some("..\\..\\etc\\passwd\n.jpg")), ".._.._etc_passwd_");
        assert_eq!(of(Some("clips/a.mp4#000012")), "a_000012");
        assert_eq!(of(Some("a#12.jpg")), "a#12");
        let camera = |name: &str| {
            stem(&Subject {
                frame: 7,
                source_name: Some(name.into()),
                ..Subject::default()
            })
        };
        assert_eq!(camera("front"), "front_000007");
        assert_eq!(camera("../x"), "___x_000007");
        let long = of(Some(&format!("{}.jpg", "ü".repeat(300))));
        assert!(long.len() <= BYTES_MAX && long.starts_with('ü'));
    }
}
