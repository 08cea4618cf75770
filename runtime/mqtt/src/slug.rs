//! Names as topics and ids may have them. Names come from files of people, and over networks.

/// Most bytes of a name.
const BYTES_MAX: usize = 40;

/// The name in small letters, digits and `_`; `x` if nothing is left of it.
pub fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('_') {
            slug.push('_');
        }
        if slug.len() == BYTES_MAX {
            break;
        }
    }
    let slug = slug.trim_end_matches('_');
    if slug.is_empty() {
        "x".into()
    } else {
        slug.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_have_plain_letters() {
        for (name, expected) in [
            ("person", "person"),
            ("traffic light", "traffic_light"),
            ("Front-Door", "front_door"),
            ("../#/+", "x"),
            ("_a_", "a"),
            ("küche", "k_che"),
            ("", "x"),
        ] {
            assert_eq!(slug(name), expected);
        }
        assert!(slug(&"ab ".repeat(99)).len() <= BYTES_MAX);
    }
}
