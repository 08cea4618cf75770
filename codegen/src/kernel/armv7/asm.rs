//! Assembly text: instructions, labels, comments, and constants that fit no instruction.

use std::fmt::Display;

/// Text in the making.
#[derive(Default)]
pub(super) struct Asm {
    text: String,
}

impl Asm {
    /// A line of its own, for people.
    pub fn comment(&mut self, text: impl Display) {
        self.text += &format!("    @ {text}\n");
    }

    /// One instruction.
    pub fn ins(&mut self, text: impl Display) {
        self.text += &format!("    {text}\n");
    }

    /// A numeric label, which later lines call `{n}b` and earlier ones `{n}f`.
    pub fn label(&mut self, n: usize) {
        self.text += &format!("{n}:\n");
    }

    /// `reg = value`.
    pub fn constant(&mut self, reg: &str, value: usize) {
        if is_immediate(value) {
            self.ins(format!("mov {reg}, #{value}"));
            return;
        }
        self.ins(format!("movw {reg}, #{}", value & 0xffff));
        if value >> 16 != 0 {
            self.ins(format!("movt {reg}, #{}", value >> 16 & 0xffff));
        }
    }

    /// `to = from + value`, by way of `lr` where the value fits no instruction.
    pub fn add(&mut self, to: &str, from: &str, value: usize) {
        if value == 0 {
            if to != from {
                self.ins(format!("mov {to}, {from}"));
            }
        } else if is_immediate(value) {
            self.ins(format!("add {to}, {from}, #{value}"));
        } else {
            self.constant("lr", value);
            self.ins(format!("add {to}, {from}, lr"));
        }
    }

    /// Loads or stores (`what`) `channels` channels from the address in `at` on, the first ones in `d` register
    /// `first`; then `at` grows by `step`. Of an odd number the last one goes by way of `spare`.
    pub fn channels(
        &mut self,
        what: &str,
        [first, channels]: [usize; 2],
        at: &str,
        step: Option<&str>,
        spare: &str,
    ) {
        let next = step.map_or_else(String::new, |by| format!(", {by}"));
        match (channels / 2, channels % 2) {
            (pairs, 0) => self.ins(format!("{what}.32 {}, [{at}]{next}", doubles(first, pairs))),
            (0, _) => self.ins(format!("{what}.32 {{d{first}[0]}}, [{at}]{next}")),
            (pairs, _) => {
                self.ins(format!("add {spare}, {at}, #{}", 8 * pairs));
                self.ins(format!("{what}.32 {{d{}[0]}}, [{spare}]", first + pairs));
                self.ins(format!("{what}.32 {}, [{at}]{next}", doubles(first, pairs)));
            }
        }
    }

    /// The text, lines ended.
    pub fn finish(self) -> String {
        self.text
    }
}

/// Whether an ARM instruction can hold `value`: eight bits, rotated right by an even number.
fn is_immediate(value: usize) -> bool {
    u32::try_from(value).is_ok_and(|v| (0..32).step_by(2).any(|r| v.rotate_left(r) < 256))
}

/// `d` registers `first .. first + n` as a list.
pub(super) fn doubles(first: usize, n: usize) -> String {
    if n == 1 {
        format!("{{d{first}}}")
    } else {
        format!("{{d{first}-d{}}}", first + n - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immediates_are_eight_bits_rotated() {
        for (value, want) in [
            (0, true),
            (255, true),
            (256, true),
            (257, false),
            (1020, true),
            (1022, false),
            (0xff00_0000, true),
            (0xf000_000f, true),
            (0x0003_fc00, true),
            // Rotations are even.
            (0x0001_fe00, false),
        ] {
            assert_eq!(is_immediate(value), want, "{value:#x}");
        }
    }
}
