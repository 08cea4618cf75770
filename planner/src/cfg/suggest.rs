//! Which known word an unknown one was meant to be.

/// Most slips of the fingers in one word.
const EDITS_MAX: usize = 2;
/// Longest word that is compared: no key or name is longer.
const WORD_BYTES_MAX: usize = 40;

/// The word among `known` that differs from `word` in upper and lower case alone.
pub fn other_case<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .copied()
        .find(|k| *k != word && k.eq_ignore_ascii_case(word))
}

/// The word among `known` that [`other_case`] finds, else the one with the fewest edits from `word`: one edit
/// per three characters, at least one, at most two. A swap of neighbours is one edit. `None` if no word is
/// that near.
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let chars = word.chars().count();
    // A word of one character is no misspelling of another one.
    let limit = (chars / 3).clamp(1, EDITS_MAX).min(chars.saturating_sub(1));
    let by_edits = || {
        known
            .iter()
            .map(|k| (strsim::osa_distance(word, k), *k))
            .filter(|(edits, _)| *edits <= limit)
            .min()
            .map(|(_, k)| k)
    };
    other_case(word, known).or_else(by_edits)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn only_near_words_are_suggested() {
        let known = ["leaky", "relu", "mish", "dilation", "batch_normalize"];
        for (word, expected) in [
            ("leeky", Some("leaky")),
            ("rleu", Some("relu")),
            ("mihs", Some("mish")),
            ("dilations", Some("dilation")),
            ("batch_normalise", Some("batch_normalize")),
            ("bath_normalise", Some("batch_normalize")),
            ("garbage", None),
            ("rule", None),
            ("m", None),
            ("", None),
            (&"leaky".repeat(9), None),
        ] {
            assert_eq!(nearest(word, &known), expected, "{word}");
        }
    }

    #[test]
    fn case_is_tried_before_edits() {
        let known = ["elu", "selu", "BATCH", "size"];
        for (word, expected) in [
            ("SELU", Some("selu")),
            ("Elu", Some("elu")),
            ("batch", Some("BATCH")),
            ("SIZE", Some("size")),
            ("SIZES", None),
        ] {
            assert_eq!(nearest(word, &known), expected, "{word}");
        }
    }
}
