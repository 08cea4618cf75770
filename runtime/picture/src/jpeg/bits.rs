//! Entropy-coded bits of a JPEG scan, and the Huffman codes in them (ITU-T T.81, annexes C and F).

/// Bits that a table is asked with at once; longer codes are searched.
const AHEAD: u32 = 9;

/// A Huffman table.
#[derive(Debug)]
pub(super) struct Table {
    /// By the next [`AHEAD`] bits: a code's length and its symbol; length 0 where it is longer.
    fast: Box<[(u8, u8)]>,
    /// By length: the first code behind those of that length, left-aligned in 16 bits.
    end: [u32; 17],
    /// By length: what added to a code gives the place of its symbol.
    offset: [i32; 17],
    symbols: Vec<u8>,
}

impl Table {
    /// A table of `counts[i]` codes with `i + 1` bits; none if there are more codes than fit.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table = Self {
            fast: vec![(0, 0); 1 << AHEAD].into(),
            end: [0; 17],
            offset: [0; 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut at) = (0u32, 0usize);
        for (length, count) in (1u32..=16).zip(counts) {
            table.offset[length as usize] = i32::try_from(at).ok()? - i32::try_from(code).ok()?;
            for _ in 0..*count {
                let symbol = *symbols.get(at)?;
                if code >= 1 << length {
                    return None;
                }
                if length <= AHEAD {
                    let free = AHEAD - length;
                    let from = (code << free) as usize;
                    table.fast[from..from + (1 << free)].fill((length as u8, symbol));
                }
                code += 1;
                at += 1;
            }
            table.end[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Some(table)
    }
}

/// Reads bits up to the next marker, or the end of the file; then zeros.
#[derive(Debug)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    /// The next bits, left-aligned.
    buffer: u64,
    held: u32,
    /// How many of all bits given or held were no longer there.
    missing: u32,
}

impl<'a> Bits<'a> {
    pub(super) const fn new(data: &'a [u8], at: usize) -> Self {
        Self {
            data,
            at,
            buffer: 0,
            held: 0,
            missing: 0,
        }
    }

    /// Whether more was read than there is.
    pub(super) const fn is_overdrawn(&self) -> bool {
        self.missing > self.held
    }

    /// Where the marker lies that ends these bits, if one does: its first byte, 0xff.
    pub(super) fn marker(&self) -> Option<usize> {
        next_marker(self.data, self.at)
    }

    #[inline]
    fn fill(&mut self) {
        while self.held <= 56 {
            let byte = match self.data.get(self.at) {
                Some(0xff) if self.data.get(self.at + 1) == Some(&0) => {
                    self.at += 2;
                    0xff
                }
                Some(0xff) | None => {
                    self.missing = self.missing.saturating_add(8);
                    0
                }
                Some(b) => {
                    self.at += 1;
                    *b
                }
            };
            self.buffer |= u64::from(byte) << (56 - self.held);
            self.held += 8;
        }
    }

    /// The next `n` bits, at most 16.
    #[inline]
    pub(super) fn take(&mut self, n: u32) -> u32 {
        self.fill();
        let bits = if n == 0 { 0 } else { self.buffer >> (64 - n) };
        self.drop(n);
        bits as u32
    }

    #[inline]
    fn drop(&mut self, n: u32) {
        self.buffer <<= n;
        self.held -= n;
    }

    /// The next symbol, the `n` low bits of which (0 to 15) say how many bits belong to it: these
    /// are dropped. None where no code begins so.
    #[inline]
    pub(super) fn symbol_and_value(&mut self, table: &Table) -> Option<u8> {
        let symbol = self.symbol(table)?;
        // A code and its value are at most 31 bits.
        self.drop(u32::from(symbol & 15));
        Some(symbol)
    }

    /// The next symbol; none where no code begins so.
    #[inline]
    pub(super) fn symbol(&mut self, table: &Table) -> Option<u8> {
        self.fill();
        let (length, symbol) = table.fast[(self.buffer >> (64 - AHEAD)) as usize];
        if length > 0 {
            self.drop(u32::from(length));
            return Some(symbol);
        }
        let next = (self.buffer >> 48) as u32;
        let length = (AHEAD + 1..=16).find(|l| next < table.end[*l as usize])?;
        let code = (next >> (16 - length)).cast_signed();
        let at = usize::try_from(code + table.offset[length as usize]).ok()?;
        let symbol = *table.symbols.get(at)?;
        self.drop(length);
        Some(symbol)
    }
}

/// The first marker at `from` or behind it: the place of its 0xff.
pub(super) fn next_marker(data: &[u8], from: usize) -> Option<usize> {
    let rest = data.get(from..)?;
    let pairs = rest.windows(2);
    let found = pairs
        .enumerate()
        .find(|(_, w)| w[0] == 0xff && !matches!(w[1], 0 | 0xff));
    found.map(|(i, _)| from + i)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes 0, 10, 110, 1110, and 1111 0000 00 of ten bits.
    fn table() -> Table {
        let mut counts = [0; 16];
        counts[..4].fill(1);
        counts[9] = 1;
        Table::new(&counts, &[1, 2, 3, 0x12, 9]).unwrap()
    }

    #[test]
    fn symbols_and_their_bits() {
        // 10 01 | 1110 11 | 0 1 | 110 101 and ones to the end of the byte.
        let data = [0b1001_1110, 0b1101_1101, 0b0111_1111, 0xff, 0xd9];
        let mut bits = Bits::new(&data, 0);
        let have: Vec<_> = (0..4).map(|_| bits.symbol_and_value(&table())).collect();
        assert_eq!(have, [Some(2), Some(0x12), Some(1), Some(3)]);
        assert!(!bits.is_overdrawn());
        assert_eq!(bits.marker(), Some(3));
        assert_eq!(bits.take(6), 0b11_1111);
        assert!(!bits.is_overdrawn());
        assert_eq!(bits.take(1), 0);
        assert!(bits.is_overdrawn());
    }

    #[test]
    fn long_codes_stuffed_bytes_and_what_is_no_code() {
        // A code of ten bits is the first behind those of four: 1111 0000 00.
        let data = [0b1111_0000, 0b0011_1111, 0xff, 0, 0xff, 0];
        let mut bits = Bits::new(&data, 0);
        assert_eq!(bits.symbol(&table()), Some(9));
        assert_eq!(bits.symbol(&table()), None);
        assert_eq!(bits.take(16), 0b1111_1111_1111_1111);
        assert_eq!(bits.take(6), 0b11_1111);
        assert!(!bits.is_overdrawn());
        assert_eq!(bits.marker(), None);
    }

    #[test]
    fn tables_with_too_many_codes_are_none() {
        let mut counts = [0; 16];
        counts[0] = 3;
        assert!(Table::new(&counts, &[1, 2, 3]).is_none());
        counts[0] = 2;
        assert!(Table::new(&counts, &[1]).is_none());
        assert!(Table::new(&counts, &[1, 2]).is_some());
        assert!(Table::new(&[255; 16], &[0; 255]).is_none());
    }

    #[test]
    fn markers_are_no_stuffed_and_no_filling_bytes() {
        let data = [1, 0xff, 0, 0xff, 0xff, 0xd9, 0xff];
        assert_eq!(next_marker(&data, 0), Some(4));
        assert_eq!(next_marker(&data, 5), None);
        assert_eq!(next_marker(&data, 99), None);
    }
}
