//! What a JPEG file's frame header says (ITU-T T.81, annexes A and B.2.2).

/// A component's part of the frame header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Component {
    /// What scans call it.
    pub(super) name: u8,
    /// Blocks of it in a unit (MCU): across, down; 1 to 4.
    pub(super) sampling: [usize; 2],
}

/// Size and components of a picture.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) progressive: bool,
    pub(super) components: Vec<Component>,
}

impl Frame {
    /// Reads the segment of a Huffman-coded frame of 8 bits; none where it makes no sense.
    pub(super) fn parse(segment: &[u8], progressive: bool) -> Option<Self> {
        let (head, rest) = segment.split_first_chunk::<6>()?;
        let side = |i: usize| usize::from(u16::from_be_bytes([head[i], head[i + 1]]));
        let (height, width) = (side(1), side(3));
        let components: Vec<_> = rest
            .chunks_exact(3)
            .map(|c| Component {
                name: c[0],
                sampling: [c[1] >> 4, c[1] & 15].map(usize::from),
            })
            .collect();
        let sane = |c: &Component| c.sampling.iter().all(|s| (1..=4).contains(s));
        let counts =
            (1..=4).contains(&components.len()) && components.len() == usize::from(head[5]);
        let fine = head[0] == 8 && width > 0 && height > 0 && counts && components.iter().all(sane);
        fine.then_some(Self {
            width,
            height,
            progressive,
            components,
        })
    }

    fn sampling_max(&self, axis: usize) -> usize {
        let all = self.components.iter().map(|c| c.sampling[axis]);
        all.max().unwrap_or(1)
    }

    /// Units (MCUs) of a scan of several components: across, down.
    pub(super) fn units(&self) -> [usize; 2] {
        [
            self.width.div_ceil(8 * self.sampling_max(0)),
            self.height.div_ceil(8 * self.sampling_max(1)),
        ]
    }

    /// Blocks of component `i` in whole units: across, down.
    pub(super) fn blocks(&self, i: usize) -> [usize; 2] {
        let ([across, down], [h, v]) = (self.units(), self.components[i].sampling);
        [across * h, down * v]
    }

    /// Blocks of component `i` that hold pixels: across, down.
    pub(super) fn own_blocks(&self, i: usize) -> [usize; 2] {
        let [h, v] = self.components[i].sampling;
        let own = |side: usize, factor: usize, most: usize| (side * factor).div_ceil(8 * most);
        [
            own(self.width, h, self.sampling_max(0)),
            own(self.height, v, self.sampling_max(1)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_components() {
        // 4:2:0, 17 x 33 pixels.
        let segment = [8, 0, 33, 0, 17, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1];
        let frame = Frame::parse(&segment, false).unwrap();
        assert_eq!(frame.units(), [2, 3]);
        assert_eq!((frame.blocks(0), frame.own_blocks(0)), ([4, 6], [3, 5]));
        assert_eq!((frame.blocks(2), frame.own_blocks(2)), ([2, 3], [2, 3]));
        for (at, v) in [
            (0, 12),
            (2, 0),
            (4, 0),
            (5, 2),
            (5, 4),
            (7, 0x20),
            (7, 0x52),
        ] {
            let mut other = segment;
            other[at] = v;
            assert!(Frame::parse(&other, false).is_none(), "{at} {v}");
        }
        assert!(Frame::parse(&segment[..5], false).is_none());
    }
}
