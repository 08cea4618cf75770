//! Files of class names: one per line, in UTF-8, UTF-16 or Windows-1252 (of which Latin-1 is part).

/// It is no text, or far too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no list of names; give a text file with one class per line")]
pub struct NotText;

/// Largest names file that is read.
pub const BYTES_MAX: u64 = 16 << 20;
/// Most classes that a warning lists one by one.
const LISTED_MAX: usize = 5;

/// What Windows-1252 has for the bytes 0x80 to 0x9f; the others are those of Latin-1. A byte that
/// it leaves open is shown as the sign for that.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{fffd}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{fffd}', 'Ž',
    '\u{fffd}', '\u{fffd}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{fffd}',
    'ž', 'Ÿ',
];

/// Reads the names of `classes` classes, and warnings: a list of another length, or with blank
/// lines, is one. A class without a name is shown by its number.
///
/// # Errors
/// When `bytes` are no text.
pub fn parse(bytes: &[u8], classes: usize) -> Result<(Vec<String>, Vec<String>), NotText> {
    let mut warnings = Vec::new();
    let mut names = match utf16(bytes) {
        Some(units) => decoded_utf16(&units, &mut warnings),
        None => decoded_bytes(bytes, &mut warnings)?,
    };
    let used = names.iter().rposition(|n| !n.is_empty());
    names.truncate(used.map_or(0, |i| i + 1));
    warnings.extend(wrong_count(names.len(), classes));
    names.truncate(classes);
    warnings.extend(numbered_blanks(&mut names));
    Ok((names, warnings))
}

/// The units of a text in UTF-16: one with a byte order mark, or with zeros for every other byte.
fn utf16(bytes: &[u8]) -> Option<Vec<u16>> {
    let units = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let pairs = bytes.chunks(2);
        Some(
            pairs
                .map(|p| unit([p[0], *p.get(1).unwrap_or(&0)]))
                .collect(),
        )
    };
    if let Some(rest) = bytes.strip_prefix(b"\xff\xfe") {
        return units(rest, u16::from_le_bytes);
    }
    if let Some(rest) = bytes.strip_prefix(b"\xfe\xff") {
        return units(rest, u16::from_be_bytes);
    }
    // Names in ASCII, without a mark.
    let zeros = |from: usize| {
        bytes
            .iter()
            .skip(from)
            .step_by(2)
            .filter(|b| **b == 0)
            .count()
    };
    match (zeros(0), zeros(1)) {
        (0, odd) if odd > bytes.len() / 4 => units(bytes, u16::from_le_bytes),
        (even, 0) if even > bytes.len() / 4 => units(bytes, u16::from_be_bytes),
        _ => None,
    }
}

fn decoded_utf16(units: &[u16], warnings: &mut Vec<String>) -> Vec<String> {
    let text = String::from_utf16_lossy(units);
    if text.contains('\u{fffd}') {
        warnings.push("not everything is UTF-16: such letters are shown as \u{fffd}".into());
    }
    let text: String = text.chars().filter(|c| *c != '\0').collect();
    lines(text.as_bytes())
        .map(|l| trimmed(&String::from_utf8_lossy(l)))
        .collect()
}

/// Names of a text of bytes: every line for itself, since lists are put together from files in
/// more than one encoding.
fn decoded_bytes(bytes: &[u8], warnings: &mut Vec<String>) -> Result<Vec<String>, NotText> {
    if bytes.contains(&0) {
        return Err(NotText);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut foreign = None;
    let names = lines(bytes).enumerate().map(|(i, line)| {
        let text = std::str::from_utf8(line).map_or_else(
            |_| {
                foreign.get_or_insert(i + 1);
                line.iter().map(|b| windows_1252(*b)).collect()
            },
            str::to_string,
        );
        trimmed(&text)
    });
    let names = names.collect();
    if let Some(line) = foreign {
        warnings.push(format!(
            "line {line} is not UTF-8: such lines are read as Windows-1252 (Latin-1); save the file as UTF-8 if letters are wrong"
        ));
    }
    Ok(names)
}

const fn windows_1252(b: u8) -> char {
    match b {
        0x80..=0x9f => WINDOWS_1252[b as usize - 0x80],
        _ => b as char,
    }
}

/// Lines that end with LF, CR LF, or CR alone; the last need not end.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.iter().position(|b| matches!(b, b'\n' | b'\r')) else {
            rest = None;
            return Some(text);
        };
        let two = text[end..].starts_with(b"\r\n");
        rest = Some(&text[end + if two { 2 } else { 1 }..]);
        Some(&text[..end])
    })
}

fn trimmed(name: &str) -> String {
    name.trim().to_string()
}

/// A warning where there are more names than classes, or fewer.
fn wrong_count(names: usize, classes: usize) -> Option<String> {
    if names == classes {
        return None;
    }
    let of = match classes {
        1 => "1 class".to_string(),
        n => format!("{n} classes"),
    };
    let what = if names > classes {
        "the names behind the last class are not used; are they of another network?".to_string()
    } else if names + 1 == classes {
        format!("class {names} has no name and is shown by number")
    } else {
        format!(
            "classes {names} to {} have no name and are shown by number",
            classes - 1
        )
    };
    let plural = if names == 1 { "" } else { "s" };
    Some(format!("{names} name{plural} for {of}: {what}"))
}

/// Gives blank names their numbers, and a warning where there are any.
fn numbered_blanks(names: &mut [String]) -> Option<String> {
    let mut blank = Vec::new();
    for (i, name) in names.iter_mut().enumerate() {
        if name.is_empty() {
            *name = i.to_string();
            blank.push(name.clone());
        }
    }
    let more = blank.len().saturating_sub(LISTED_MAX);
    match &blank[..] {
        [] => None,
        [one] => Some(format!(
            "the name of class {one} is blank: it is shown by number"
        )),
        _ if more > 0 => Some(format!(
            "the names of classes {} and {more} more are blank: they are shown by number",
            blank[..LISTED_MAX].join(", ")
        )),
        [rest @ .., last] => Some(format!(
            "the names of classes {} and {last} are blank: they are shown by number",
            rest.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{NotText, parse};

    fn check(bytes: &[u8], names: &[&str], warnings: &[&str]) {
        let (have, said) = parse(bytes, names.len()).unwrap();
        assert_eq!(have, names, "{bytes:?}");
        assert_eq!(said.len(), warnings.len(), "{said:?}");
        for (said, want) in said.iter().zip(warnings) {
            assert!(said.contains(want), "{said}: {want}");
        }
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn encodings() {
        let names = ["balón", "箱", "🔺", "star"];
        let text = "balón\r\n箱\n🔺\r\nstar\n";
        check(text.as_bytes(), &names, &[]);
        check(format!("\u{feff}{text}").as_bytes(), &names, &[]);
        for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            check(&utf16(&format!("\u{feff}{text}"), bytes), &names, &[]);
            // Without a byte order mark.
            check(&utf16("ball\r\nbox\r\n", bytes), &["ball", "box"], &[]);
        }
        let said = ["line 1 is not UTF-8"];
        check(
            b"bal\xf3n\ncaja\ntri\xe1ngulo\n",
            &["balón", "caja", "triángulo"],
            &said,
        );
        check(
            b"price in \x80\nit\x92s\n\x81\n",
            &["price in €", "it’s", "\u{fffd}"],
            &said,
        );
        // Lines of both.
        check(
            b"ball\nbal\xc3\xb3n\nbal\xf3n",
            &["ball", "balón", "balón"],
            &["line 3 is not"],
        );
        check(
            &[0xff, 0xfe, b'a', 0, 0, 0xd8],
            &["a\u{fffd}"],
            &["not everything is UTF-16"],
        );
        check(&[0xff, 0xfe, b'a', 0, b'b'], &["ab"], &[]);
    }

    #[test]
    fn lines_end_in_every_way() {
        for text in [
            "a\nb c\nd",
            "a\r\nb c\r\nd\r\n",
            "a\rb c\rd\r",
            "a\nb c\r\nd\r",
            "a \n\tb c  \nd\u{a0}\n\n\r\n \n",
        ] {
            check(text.as_bytes(), &["a", "b c", "d"], &[]);
        }
    }

    #[test]
    fn lists_of_another_length() {
        check(b"a\n", &["a"], &[]);
        for (text, classes, names, words) in [
            (
                "a\nb\n",
                5,
                2,
                "2 names for 5 classes: classes 2 to 4 have no name",
            ),
            (
                "a\n",
                2,
                1,
                "1 name for 2 classes: class 1 has no name and is shown by number",
            ),
            ("", 1, 0, "0 names for 1 class: class 0 has no name"),
            (
                "a\nb\nc\n",
                1,
                1,
                "3 names for 1 class: the names behind the last class are not used",
            ),
            ("a\n", 0, 0, "1 name for 0 classes: the names behind"),
        ] {
            let (have, said) = parse(text.as_bytes(), classes).unwrap();
            assert_eq!((have.len(), said.len()), (names, 1), "{said:?}");
            assert!(said[0].contains(words), "{}", said[0]);
            assert_eq!(said[0].contains("no name"), names < classes, "{}", said[0]);
        }
    }

    #[test]
    fn blank_names_are_numbers() {
        let said = "the names of classes 0, 1 and 3 are blank";
        check(
            b"\n\nball\n  \nbox\n",
            &["0", "1", "ball", "3", "box"],
            &[said],
        );
        check(
            b"ball\n\nbox\n",
            &["ball", "1", "box"],
            &["the name of class 1 is blank"],
        );
        let (names, said) = parse(b"\n\n\n\n\n\n\nlast\n", 8).unwrap();
        assert_eq!(names.join(" "), "0 1 2 3 4 5 6 last");
        assert_eq!(
            said,
            ["the names of classes 0, 1, 2, 3, 4 and 2 more are blank: they are shown by number"]
        );
        // Of classes that the network lacks nothing is said.
        let (names, said) = parse(b"ball\n\nbox\n", 1).unwrap();
        assert_eq!((names, said.len()), (vec!["ball".to_string()], 1));
    }

    #[test]
    fn what_is_no_text_is_refused() {
        for bytes in [
            &[0, 159, 146, 150][..],
            &[1, 0, 0, 0, 2, 0, 0, 0],
            b"PK\x03\x04\0\0\0",
        ] {
            assert_eq!(parse(bytes, 2), Err(NotText), "{bytes:?}");
        }
    }
}
