use super::*;
use crate::arena::{AlignedBytes, ArenaMemory};

/// A port of 5 x 7 pixels of 3 channels that begins at (1, 2), channel 1.
const PORT: Port = Port {
    tensor: 0,
    region: Region::new([1, 6], [2, 9], [1, 4]),
};

/// Room for the port, padded on all sides.
const ROOM: Buffer = Buffer {
    offset: 16,
    h: 5,
    ring: 5,
    w: 7,
    c: 3,
    pad_left: 1,
    pad_right: 2,
    zero_row: true,
};

/// What the tensor holds at a place: every value is exact in every element type.
fn value(y: usize, x: usize, c: usize) -> f32 {
    f32::from([0u8, 255][(y + 2 * x + c) % 2]) / 255.0
}

/// A piece's bytes.
fn bytes(element: ElementType, r: Region) -> AlignedBytes {
    let mut values = Vec::new();
    for y in r.y.lo..r.y.hi {
        for x in r.x.lo..r.x.hi {
            values.extend((r.c.lo..r.c.hi).map(|c| value(y, x, c)));
        }
    }
    let mut memory = AlignedBytes::new(r.len() * element.bytes());
    element::store(element, &values, memory.bytes_mut());
    memory
}

/// Pieces that cover the port, of whole pixels and of some channels.
fn regions() -> [Region; 3] {
    [
        Region::new([0, 3], [0, 10], [0, 5]),
        Region::new([3, 6], [2, 9], [1, 4]),
        Region::new([2, 4], [3, 9], [2, 4]),
    ]
}

fn with_io(
    element: ElementType,
    element_out: ElementType,
    out: &mut [u8],
    f: impl FnOnce(&mut TaskIo<'_>),
) {
    let memory = regions().map(|r| (r, bytes(element, r)));
    let pieces: Vec<InputPiece<'_>> = memory
        .iter()
        .map(|(region, memory)| InputPiece {
            region: *region,
            element,
            bytes: PieceBytes::Here(memory.bytes()),
        })
        .collect();
    let mut arena = ArenaMemory::new(ROOM.range().end);
    arena.floats().fill(f32::NAN);
    f(&mut TaskIo {
        ports_in: &[PORT],
        ports_out: &[PORT],
        inputs: &[&pieces],
        outputs: &mut [out],
        elements_out: &[element_out],
        made: None,
        weights: &[],
        arena: Arena::new(arena.floats()),
        team: &Team::solo(),
    });
}

const ALL: [ElementType; 3] = [ElementType::U8, ElementType::F16, ElementType::F32];

#[test]
fn what_is_loaded_and_stored_is_the_tensor_whatever_its_elements() {
    let all = View {
        y: 0,
        x: 0,
        h: 5,
        w: 7,
    };
    for (element, element_out) in ALL.iter().flat_map(|a| ALL.map(|b| (*a, b))) {
        let mut out = AlignedBytes::new(PORT.region.len() * element_out.bytes());
        out.bytes_mut().fill(0x55);
        with_io(element, element_out, out.bytes_mut(), |io| {
            for rows in [0..2, 2..5] {
                io.load(0, &ROOM, rows.clone());
                io.store(0, &ROOM, all, rows);
            }
            let ([room], _) = io.arena.io(0, [ROOM.range()], 0..0);
            let r = PORT.region;
            for (y, x, c) in
                (0..5).flat_map(|y| (0..7).flat_map(move |x| (0..3).map(move |c| (y, x, c))))
            {
                let want = value(r.y.lo + y, r.x.lo + x, r.c.lo + c);
                assert_eq!(room[ROOM.at(y, x) + c], want, "{element:?} {y} {x} {c}");
            }
            assert!(
                room[..ROOM.row_floats()].iter().all(|v| *v == 0.0),
                "the zero row"
            );
        });
        let want = bytes(element_out, PORT.region);
        assert_eq!(out.bytes(), want.bytes(), "{element:?} to {element_out:?}");
    }
}

#[test]
fn a_part_of_a_buffer_is_stored() {
    let part = View {
        y: 1,
        x: 2,
        h: 3,
        w: 4,
    };
    let mut out = AlignedBytes::new(3 * 4 * 3 * 2);
    with_io(ElementType::F32, ElementType::F16, out.bytes_mut(), |io| {
        io.load(0, &ROOM, 0..5);
        io.store(0, &ROOM, part, 0..3);
    });
    let want = bytes(ElementType::F16, Region::new([2, 5], [4, 8], [1, 4]));
    assert_eq!(out.bytes(), want.bytes());
}

/// One packed map, without padding.
const MAP: Buffer = Buffer {
    offset: 0,
    h: 5,
    ring: 5,
    w: 7,
    c: 3,
    pad_left: 0,
    pad_right: 0,
    zero_row: false,
};

/// Reads the only piece in place; gives the number of values.
fn read_in_place(element: ElementType) -> usize {
    let memory = bytes(element, PORT.region);
    let piece = InputPiece {
        region: PORT.region,
        element,
        bytes: PieceBytes::Here(memory.bytes()),
    };
    let io = TaskIo {
        ports_in: &[PORT],
        ports_out: &[],
        inputs: &[&[piece]],
        outputs: &mut [],
        elements_out: &[],
        made: None,
        weights: &[],
        arena: Arena::new(&mut []),
        team: &Team::solo(),
    };
    io.packed(0, &MAP).len()
}

#[test]
fn only_floats_are_read_and_written_in_place() {
    assert_eq!(read_in_place(ElementType::F32), 105);
    let mut out = AlignedBytes::new(4 * 105);
    assert_eq!(MAP.handed(out.bytes_mut(), &(1..3)).len(), 2 * 7 * 3);
    for element in [ElementType::U8, ElementType::F16] {
        assert!(std::panic::catch_unwind(|| read_in_place(element)).is_err());
        let mut out = AlignedBytes::new(element.bytes() * 105);
        let handed = std::panic::AssertUnwindSafe(|| MAP.handed(out.bytes_mut(), &(1..3)).len());
        assert!(std::panic::catch_unwind(handed).is_err());
    }
}
