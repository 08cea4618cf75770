//! A node's file: an array with one event a line. A node that was killed leaves no end.

use crate::Event;

/// The events of a file, and how many lines are none.
pub fn read(text: &str) -> (Vec<Event>, usize) {
    let (mut events, mut wrong) = (Vec::new(), 0);
    for line in text.lines() {
        let line = line.trim().trim_end_matches(',');
        if matches!(line, "" | "[" | "]") {
            continue;
        }
        match serde_json::from_str(line) {
            Ok(event) => events.push(event),
            Err(_) => wrong += 1,
        }
    }
    (events, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Phase;

    #[test]
    fn a_file_without_its_end_is_read() {
        let event = Event::new(Phase::Slice, 1, 3, "tail")
            .between(1.5, 4.0)
            .with("frame", 7);
        let line = serde_json::to_string(&event).unwrap();
        let whole = format!("[\n{line},\n{line}\n]\n");
        assert_eq!(read(&whole), (vec![event.clone(), event.clone()], 0));
        let cut = &whole[..whole.len() - 10];
        assert_eq!(read(cut), (vec![event], 1));
    }
}
