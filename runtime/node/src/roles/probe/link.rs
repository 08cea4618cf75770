//! Pings and bursts to another probe.

use std::time::{Duration, Instant};

use super::{Line, Other, answer, said};
use tessera_plan::files::probe::{Answer, Ask, BURST_BYTES_MAX, BURST_DATAGRAM_BYTES};

/// Pings of a measurement, and how many of them must be answered.
const PINGS: u32 = 20;
const PONGS_MIN: usize = 5;
/// Time for the answer to a ping.
const PONG_WITHIN: Duration = Duration::from_millis(300);
/// Bytes of the first burst; each further one has four times the bytes of the one before.
const BURST_BYTES: u64 = 64 << 10;
/// A burst that took so long to arrive is long enough.
const BURST_US: u64 = 100_000;
/// Longest time to send a burst.
const SENDING_MAX: Duration = Duration::from_secs(1);
/// Questions for what came of a burst, and the time for the answer to each.
const COUNTS: u32 = 20;
const COUNTED_WITHIN: Duration = Duration::from_millis(300);

/// Measures the way to another probe. A measurement sends at most 11 MiB, for at most a few seconds.
///
/// # Errors
/// When no probe answers there, or no burst arrives.
pub(super) fn measure(line: &mut Line, session: u64, to: Other) -> Result<Answer, String> {
    let delay_us = delay_us(line, session, to)?;
    let (mut sent_bytes, mut arrived) = (0, 0);
    let mut burst_bytes = BURST_BYTES;
    let mut round = 0;
    loop {
        let sent = burst(line, (session, round), to, burst_bytes)?;
        let (bytes, took_us) = counted(line, (session, round), to).ok_or_else(|| {
            format!(
                "{} answers pings, and does not say what came of a burst",
                to.addr
            )
        })?;
        // The first datagram begins the time, and is not counted.
        sent_bytes += sent.saturating_sub(BURST_DATAGRAM_BYTES as u64);
        arrived += bytes;
        if took_us >= BURST_US || burst_bytes >= BURST_BYTES_MAX || bytes < sent / 2 {
            if bytes == 0 || took_us == 0 {
                return Err(format!("nothing of a burst to {} arrives", to.addr));
            }
            return Ok(Answer::Linked {
                session,
                delay_us,
                bits_per_s: bytes.saturating_mul(8_000_000) / took_us,
                sent_bytes,
                lost_bytes: sent_bytes.saturating_sub(arrived),
            });
        }
        burst_bytes = (4 * burst_bytes).min(BURST_BYTES_MAX);
        round += 1;
    }
}

/// Half of the median time there and back.
fn delay_us(line: &mut Line, session: u64, to: Other) -> Result<u64, String> {
    Ok(half_us(pings(line, session, to, PINGS)?, 50))
}

/// Half of the time that so many of a hundred do not exceed; `times` are sorted.
pub(super) fn half_us(times: Vec<Duration>, percent: usize) -> u64 {
    let at = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    let time = times.get(at).copied().unwrap_or_default();
    u64::try_from(time.as_micros() / 2).unwrap_or(u64::MAX)
}

/// Times of so many pings there and back, sorted; of those that were answered.
pub(super) fn pings(
    line: &mut Line,
    session: u64,
    to: Other,
    count: u32,
) -> Result<Vec<Duration>, String> {
    let mut there_and_back: Vec<Duration> = Vec::new();
    for number in 0..count {
        let begun = Instant::now();
        line.send(to, &Ask::Ping { session, number });
        let pong = Answer::Pong { session, number };
        if awaited(line, to, PONG_WITHIN, |a| *a == pong).is_some() {
            there_and_back.push(begun.elapsed());
        } else if there_and_back.is_empty() && number + 1 >= PONGS_MIN as u32 {
            break;
        }
    }
    if there_and_back.len() < PONGS_MIN {
        return Err(format!("no probe answers at {}", to.addr));
    }
    there_and_back.sort_unstable();
    Ok(there_and_back)
}

/// A datagram of a burst.
pub(super) fn datagram(session: u64, round: u32) -> Result<Vec<u8>, String> {
    let head = serde_json::to_vec(&Ask::Burst { session, round });
    let mut datagram = head.map_err(|e| e.to_string())?;
    // Blanks, which JSON allows behind a value.
    datagram.resize(BURST_DATAGRAM_BYTES, b' ');
    Ok(datagram)
}

/// Sends a burst of about so many bytes; returns the bytes.
fn burst(
    line: &mut Line,
    (session, round): (u64, u32),
    to: Other,
    bytes: u64,
) -> Result<u64, String> {
    let datagram = datagram(session, round)?;
    let begun = Instant::now();
    let mut sent = 0;
    while sent < bytes && begun.elapsed() < SENDING_MAX {
        let n = line.send_bytes(to, &datagram);
        sent += n.map_err(said(&format!("cannot send to {}", to.addr)))? as u64;
    }
    Ok(sent)
}

/// Bytes of a burst that arrived, and the microseconds that they took. The answer comes behind all of it.
pub(super) fn counted(
    line: &mut Line,
    (session, round): (u64, u32),
    to: Other,
) -> Option<(u64, u64)> {
    (0..COUNTS).find_map(|_| {
        line.send(to, &Ask::Count { session, round });
        let of_round = |a: &Answer| {
            matches!(a, Answer::Counted { session: s, round: r, .. } if (*s, *r) == (session, round))
        };
        match awaited(line, to, COUNTED_WITHIN, of_round)? {
            Answer::Counted { bytes, took_us, .. } => Some((bytes, took_us)),
            _ => None,
        }
    })
}

/// The answer of a peer that `is_it`, within a time.
fn awaited(
    line: &mut Line,
    from: Other,
    within: Duration,
    is_it: impl Fn(&Answer) -> bool,
) -> Option<Answer> {
    let end = Instant::now() + within;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        if let Some((found, peer, _)) = line.receive(left, answer)
            && peer.is(from)
            && is_it(&found)
        {
            return Some(found);
        }
    }
}
