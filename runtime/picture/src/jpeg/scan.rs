//! Follows the entropy-coded data of a scan block by block, without computing any pixel, to find
//! whether all of it is there (ITU-T T.81, annexes F and G).

use super::{
    Damage,
    bits::{Bits, Table},
    frame::Frame,
};

/// Huffman tables by class (DC, AC) and number.
pub(super) type Tables = [[Option<Table>; 4]; 2];

/// A scan's header (annex B.2.3).
#[derive(Debug)]
pub(super) struct Scan {
    /// Per component of the scan: its place in the frame, its DC and AC table.
    pub(super) components: Vec<(usize, usize, usize)>,
    /// First and last coefficient in zigzag order.
    pub(super) band: [usize; 2],
    /// Whether it adds a bit to what earlier scans gave.
    pub(super) refines: bool,
}

/// What the blocks of a progressive file hold so far: per component and block, a bit for every
/// coefficient that is not zero.
pub(super) type Nonzero = Vec<Vec<u64>>;

/// Why following a scan ended early.
enum Stop {
    /// Its tables are not in the file: nothing can be said.
    Unknown,
    /// No code begins like that, or a block has more than 64 coefficients.
    Nonsense,
}

/// Follows a scan whose data begin at `at`; gives where the marker behind it lies.
pub(super) fn follow(
    data: &[u8],
    mut at: usize,
    frame: &Frame,
    scan: &Scan,
    tables: &Tables,
    restart: usize,
    nonzero: &mut Nonzero,
) -> Result<Option<usize>, Damage> {
    let units = Units::of(frame, scan);
    let total = units.across * units.down;
    let mut done = 0;
    loop {
        let mut bits = Bits::new(data, at);
        let mut run = 0;
        let until = match restart {
            0 => total,
            n => total.min(done + n),
        };
        while done < until {
            let followed = unit(
                &mut bits, frame, scan, tables, &units, done, &mut run, nonzero,
            );
            let damage = Damage::Missing { done, total };
            match followed {
                Err(Stop::Unknown) => return Ok(bits.marker()),
                _ if bits.is_overdrawn() => return Err(damage),
                Err(Stop::Nonsense) => return Err(Damage::Nonsense { done, total }),
                Ok(()) => done += 1,
            }
        }
        let marker = bits.marker();
        if done == total {
            return Ok(past_restarts(data, marker));
        }
        let is_restart = |m: &usize| matches!(data.get(m + 1), Some(0xd0..=0xd7));
        let Some(marker) = marker.filter(is_restart) else {
            return Err(Damage::Missing { done, total });
        };
        at = marker + 2;
    }
}

/// The first marker from `marker` on that is no restart: some encoders write one behind the last
/// interval.
fn past_restarts(data: &[u8], mut marker: Option<usize>) -> Option<usize> {
    while let Some(m) = marker
        && matches!(data.get(m + 1), Some(0xd0..=0xd7))
    {
        marker = super::bits::next_marker(data, m + 2);
    }
    marker
}

/// How a scan's units (MCUs) lie in the picture.
struct Units {
    across: usize,
    down: usize,
    /// Per component of the scan: blocks of a unit, and blocks of the component in a row.
    blocks: Vec<([usize; 2], usize)>,
}

impl Units {
    fn of(frame: &Frame, scan: &Scan) -> Self {
        let rows = |c: &(usize, usize, usize)| frame.blocks(c.0);
        if let [one] = &scan.components[..] {
            // A scan of its own has no padding to whole units of the frame.
            let [across, down] = frame.own_blocks(one.0);
            return Self {
                across,
                down,
                blocks: vec![([1, 1], rows(one)[0])],
            };
        }
        let [across, down] = frame.units();
        let of = |c: &(usize, usize, usize)| (frame.components[c.0].sampling, rows(c)[0]);
        Self {
            across,
            down,
            blocks: scan.components.iter().map(of).collect(),
        }
    }
}

/// Follows unit `n`.
#[expect(
    clippy::too_many_arguments,
    reason = "the state of a scan, split for the borrow checker"
)]
fn unit(
    bits: &mut Bits<'_>,
    frame: &Frame,
    scan: &Scan,
    tables: &Tables,
    units: &Units,
    n: usize,
    run: &mut u32,
    nonzero: &mut Nonzero,
) -> Result<(), Stop> {
    let (x, y) = (n % units.across, n / units.across);
    for ((component, dc, ac), ([h, v], row)) in scan.components.iter().zip(&units.blocks) {
        let table = |class: usize, i: usize| tables[class][i].as_ref().ok_or(Stop::Unknown);
        if !frame.progressive {
            let (dc, ac) = (table(0, *dc)?, table(1, *ac)?);
            for _ in 0..h * v {
                sequential(bits, dc, ac)?;
            }
            continue;
        }
        if scan.band[0] == 0 {
            for _ in 0..h * v {
                if scan.refines {
                    bits.take(1);
                } else {
                    bits.symbol_and_value(table(0, *dc)?)
                        .ok_or(Stop::Nonsense)?;
                }
            }
            continue;
        }
        // Other coefficients come in scans of one component, a block per unit.
        let ac = table(1, *ac)?;
        let block = nonzero
            .get_mut(*component)
            .and_then(|c| c.get_mut(y * row + x));
        let block = block.ok_or(Stop::Unknown)?;
        if scan.refines {
            refined(bits, ac, scan.band, run, block)?;
        } else {
            banded(bits, ac, scan.band, run, block)?;
        }
    }
    Ok(())
}

/// A block of a sequential scan.
#[inline]
fn sequential(bits: &mut Bits<'_>, dc: &Table, ac: &Table) -> Result<(), Stop> {
    bits.symbol_and_value(dc).ok_or(Stop::Nonsense)?;
    let mut k = 1;
    while k < 64 {
        let symbol = bits.symbol_and_value(ac).ok_or(Stop::Nonsense)?;
        k += usize::from(symbol >> 4) + 1;
        if symbol & 15 == 0 && symbol != 0xf0 {
            return Ok(());
        }
        if k > 64 && symbol != 0xf0 {
            return Err(Stop::Nonsense);
        }
    }
    Ok(())
}

/// What a code of a band of coefficients says.
enum Code {
    /// Sixteen coefficients stay zero.
    Zeros16,
    /// This block and those behind it, so many in all, have no further codes.
    EndOfBlocks(u32),
    /// Behind so many zeros comes a coefficient of so many bits.
    Value { zeros: u32, bits: u32 },
}

/// Reads the next code of a band (annex G.1.2.2).
fn band_code(bits: &mut Bits<'_>, ac: &Table) -> Result<Code, Stop> {
    let symbol = bits.symbol(ac).ok_or(Stop::Nonsense)?;
    let (zeros, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
    Ok(match (zeros, size) {
        (15, 0) => Code::Zeros16,
        (_, 0) => Code::EndOfBlocks((1 << zeros) + bits.take(zeros)),
        _ => Code::Value { zeros, bits: size },
    })
}

/// A block of a scan that gives a band of coefficients for the first time.
fn banded(
    bits: &mut Bits<'_>,
    ac: &Table,
    [first, last]: [usize; 2],
    run: &mut u32,
    block: &mut u64,
) -> Result<(), Stop> {
    let mut k = first;
    while *run == 0 && k <= last {
        match band_code(bits, ac)? {
            Code::Zeros16 => k += 16,
            Code::EndOfBlocks(blocks) => *run = blocks,
            Code::Value { zeros, bits: size } => {
                k += zeros as usize;
                if k > last {
                    return Err(Stop::Nonsense);
                }
                bits.take(size);
                *block |= 1 << k;
                k += 1;
            }
        }
    }
    *run = run.saturating_sub(1);
    Ok(())
}

/// A block of a scan that adds a bit to a band of coefficients.
fn refined(
    bits: &mut Bits<'_>,
    ac: &Table,
    [first, last]: [usize; 2],
    run: &mut u32,
    block: &mut u64,
) -> Result<(), Stop> {
    let mut k = first;
    while *run == 0 && k <= last {
        let (mut zeros, size) = match band_code(bits, ac)? {
            Code::Zeros16 => (15, 0),
            Code::EndOfBlocks(blocks) => {
                *run = blocks;
                break;
            }
            Code::Value { zeros, bits: 1 } => (zeros, 1),
            Code::Value { .. } => return Err(Stop::Nonsense),
        };
        bits.take(size);
        // So many coefficients stay zero; the others on the way get a bit each.
        while k <= last {
            if *block & 1 << k != 0 {
                bits.take(1);
            } else if zeros == 0 {
                *block |= u64::from(size) << k;
                k += 1;
                break;
            } else {
                zeros -= 1;
            }
            k += 1;
        }
    }
    if *run > 0 {
        for _ in (k..=last).filter(|k| *block >> k & 1 == 1) {
            bits.take(1);
        }
        *run -= 1;
    }
    Ok(())
}
