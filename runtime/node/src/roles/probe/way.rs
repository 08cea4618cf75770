//! Evenly sent datagrams to another probe: how many arrive, and how long pings take meanwhile. Unlike a burst, they leave the
//! link room for what else travels.

use std::time::{Duration, Instant};

use super::{
    Line, Other, answer,
    link::{counted, datagram, half_us, pings},
    said,
};
use tessera_plan::files::probe::{Answer, BURST_DATAGRAM_BYTES};

/// Pings.
const PINGS: u32 = 60;
/// Datagrams, and the time between two: 2.2 Mbit/s for a second.
const DATAGRAMS: u64 = 200;
const EVERY: Duration = Duration::from_millis(5);
/// The number of the burst that they are counted as.
const ROUND: u32 = 0;

/// Measures the way to another probe, for about two seconds.
///
/// # Errors
/// When no probe answers there.
pub(super) fn measure(line: &mut Line, session: u64, to: Other) -> Result<Answer, String> {
    let times = pings(line, session, to, PINGS)?;
    let datagram = datagram(session, ROUND)?;
    let begun = Instant::now();
    for number in 1..=DATAGRAMS {
        line.send_bytes(to, &datagram)
            .map_err(said(&format!("cannot send to {}", to.addr)))?;
        let next = begun + EVERY * u32::try_from(number).unwrap_or(u32::MAX);
        loop {
            let left = next.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            // Sessions go on meanwhile; late answers to pings are of no use.
            let _ = line.receive(left, answer);
        }
    }
    let (bytes, _) = counted(line, (session, ROUND), to)
        .ok_or_else(|| format!("{} answers pings, and then no more", to.addr))?;
    // The first one that arrives begins the time, and is not among the bytes.
    let arrived = bytes / BURST_DATAGRAM_BYTES as u64;
    Ok(Answer::Travelled {
        session,
        delay_us: half_us(times.clone(), 50),
        slow_us: half_us(times, 90),
        sent: DATAGRAMS,
        arrived: if arrived > 0 { arrived + 1 } else { 0 },
    })
}
