//! The header: three version words and the images-seen counter, 4 or 8 bytes wide
//! (`docs/darknet.md#weights-header`).

use super::error::WeightsError;
use tessera_plan::graph::Darknet;

/// Versions up to here are taken for numbers that people gave.
const VERSION_MAX: i32 = 100_000;

/// A weights file's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// First word.
    pub major: i32,
    /// Second word.
    pub minor: i32,
    /// Third word.
    pub revision: i32,
    /// Bytes of the header: 16 or 20, by the version and the fork that reads it.
    pub bytes: usize,
}

impl Header {
    /// True if connected weights are stored input-major (`major` or `minor` above 1000).
    pub const fn transposed(&self) -> bool {
        self.major > 1000 || self.minor > 1000
    }

    const fn words(&self) -> [i32; 3] {
        [self.major, self.minor, self.revision]
    }

    /// True if the words are learning rate, momentum and decay, as in Darknet's first headers: float32 values
    /// in place of version numbers, then a counter of 4 bytes.
    pub fn is_first(&self) -> bool {
        let [rate, momentum, decay] = self.words().map(|w| f32::from_bits(w.cast_unsigned()));
        (1e-9..=1.0).contains(&rate)
            && (0.0..=1.0).contains(&momentum)
            && (0.0..=1.0).contains(&decay)
    }

    /// True if the words are small enough for version numbers.
    pub fn is_numbered(&self) -> bool {
        self.words().iter().all(|w| (0..=VERSION_MAX).contains(w))
    }

    /// Whether the words are version numbers with their bytes in the order of big-endian machines.
    fn is_swapped(&self) -> bool {
        let swapped = self.words().map(i32::swap_bytes);
        !self.is_numbered() && swapped.iter().all(|w| (0..=VERSION_MAX).contains(w))
    }

    pub(super) const fn version_error(&self) -> WeightsError {
        WeightsError::Version {
            major: self.major,
            minor: self.minor,
            revision: self.revision,
        }
    }
}

/// Bytes of a header of this version, as `darknet` reads it.
const fn header_bytes(darknet: Darknet, major: i32, minor: i32) -> usize {
    // Darknet counts in int32 and overflows where floats stand in the words.
    let wide = major.wrapping_mul(10).wrapping_add(minor) >= 2;
    let narrow_for_all = matches!(darknet, Darknet::Pjreddie) && (major >= 1000 || minor >= 1000);
    if wide && !narrow_for_all { 20 } else { 16 }
}

/// Reads the header as `darknet` does. Any version will do, as long as its bytes are in order.
pub(super) fn parse(bytes: &[u8], len: u64, darknet: Darknet) -> Result<Header, WeightsError> {
    let Some((words, _)) = bytes.split_first_chunk::<16>() else {
        return Err(WeightsError::NoHeader { found: len });
    };
    let word = |i: usize| {
        i32::from_le_bytes([
            words[4 * i],
            words[4 * i + 1],
            words[4 * i + 2],
            words[4 * i + 3],
        ])
    };
    let (major, minor) = (word(0), word(1));
    let header = Header {
        major,
        minor,
        revision: word(2),
        bytes: header_bytes(darknet, major, minor),
    };
    if header.is_swapped() {
        return Err(header.version_error());
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: [i32; 3], darknet: Darknet) -> Result<Header, WeightsError> {
        let mut bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        bytes.extend([0; 8]);
        parse(&bytes, 20, darknet)
    }

    fn float(v: f32) -> i32 {
        v.to_bits().cast_signed()
    }

    #[test]
    fn widths_are_those_that_each_fork_reads() {
        let first = [float(1e-5), float(0.9), float(0.0005)];
        for (words, alexey, pjreddie) in [
            ([0, 1, 0], 16, 16),
            ([0, 2, 0], 20, 20),
            ([1, 0, 0], 20, 20),
            ([0, 1000, 0], 20, 16),
            ([0, 1001, 0], 20, 16),
            ([1001, 0, 0], 20, 16),
            ([-1, 3, 0], 16, 16),
            (first, 20, 16),
        ] {
            let bytes = |fork| read(words, fork).unwrap().bytes;
            let have = (bytes(Darknet::Alexey), bytes(Darknet::Pjreddie));
            assert_eq!(have, (alexey, pjreddie), "{words:?}");
        }
    }

    #[test]
    fn the_first_header_holds_floats() {
        for (rate, momentum, decay, is) in [
            (1e-5, 0.9, 0.0005, true),
            (0.001, 0.0, 0.0, true),
            (0.1, 0.9, 7.0, false),
            (f32::NAN, 0.9, 0.0005, false),
            (-0.1, 0.9, 0.0005, false),
            (0.0, 0.0, 0.0, false),
        ] {
            let h = read(
                [float(rate), float(momentum), float(decay)],
                Darknet::Pjreddie,
            )
            .unwrap();
            assert_eq!(h.is_first(), is, "{rate} {momentum} {decay}");
        }
        assert!(!read([0, 2, 5], Darknet::Alexey).unwrap().is_first());
    }

    #[test]
    fn swapped_bytes_are_refused() {
        for words in [[0, 2, 5], [0, 1, 0], [1, 1001, 7]] {
            assert!(read(words, Darknet::Alexey).is_ok());
            let e = read(words.map(i32::swap_bytes), Darknet::Alexey).unwrap_err();
            assert!(matches!(e, WeightsError::Version { .. }), "{e}");
        }
    }
}
