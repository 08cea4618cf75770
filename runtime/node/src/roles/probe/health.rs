//! How the board is, in parts that fit into datagrams.

use crate::doctor::Doctor;
use tessera_plan::files::probe::{Answer, PART_LETTERS_MAX, PARTS_MAX};

/// What was told last: the question's session, and the parts.
#[derive(Debug, Default)]
pub(super) struct Told {
    session: Option<u64>,
    parts: Vec<String>,
}

impl Told {
    /// A part of the answer; the first one asked for looks at the board.
    pub fn part(&mut self, doctor: &Doctor, session: u64, part: u32) -> Answer {
        if self.session != Some(session) {
            let text = serde_json::to_string(&doctor.checkup());
            *self = Self {
                session: Some(session),
                parts: parts(&text.unwrap_or_default()),
            };
        }
        let text = usize::try_from(part).ok().and_then(|k| self.parts.get(k));
        let parts = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
        match text {
            Some(text) if parts <= PARTS_MAX => Answer::Health {
                session,
                part,
                parts,
                text: text.clone(),
            },
            Some(_) => Answer::Refused {
                session,
                why: "there is too much to say of this board; run node doctor there".into(),
            },
            None => Answer::Refused {
                session,
                why: format!("there is no part {part}"),
            },
        }
    }
}

/// Cuts a text.
fn parts(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    letters
        .chunks(PART_LETTERS_MAX)
        .map(|part| part.iter().collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use tessera_plan::files::probe::DATAGRAM_BYTES_MAX;

    use super::*;

    #[test]
    fn parts_make_the_text_and_fit() {
        let text = "\"ü\\".repeat(700);
        let parts = parts(&text);
        assert_eq!(parts.concat(), text);
        for (part, text) in (0..).zip(parts) {
            let answer = Answer::Health {
                session: u64::MAX,
                part,
                parts: 5,
                text,
            };
            let bytes = serde_json::to_vec(&answer).unwrap().len();
            assert!(bytes <= DATAGRAM_BYTES_MAX, "{bytes}");
        }
    }
}
