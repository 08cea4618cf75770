//! How a board is, as an edge tells its gateway: looked at now and then on a thread of its own, since firmware and drivers may
//! take their time to answer.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use tessera_health::{Health, Root, facts::ProcessorTime};
use tessera_protocol::Condition;

use crate::error::NodeError;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(10);
/// A look reads short files.
const STACK_BYTES: usize = 128 << 10;

/// What the last look at the board showed.
#[derive(Debug)]
pub struct BoardWatch(Arc<Mutex<Option<Condition>>>);

impl BoardWatch {
    /// Begins to look. The thread ends some time after this value.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(root: Root) -> Result<Self, NodeError> {
        let latest = Arc::<Mutex<Option<Condition>>>::default();
        let place = Arc::downgrade(&latest);
        let watch = move || {
            let mut before = None;
            while let Some(place) = place.upgrade() {
                let now = ProcessorTime::read(&root);
                let busy = now.zip(before).and_then(|(now, b)| now.share_since(b));
                before = now;
                let health = Health {
                    busy,
                    ..Health::of_files(&root)
                };
                *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(said(&health));
                drop(place);
                thread::sleep(LOOK);
            }
        };
        let named = thread::Builder::new().name("board".into());
        let started = named.stack_size(STACK_BYTES).spawn(watch);
        started.map_err(NodeError::io("cannot start a thread"))?;
        Ok(Self(latest))
    }

    /// How the board is, once for every look.
    pub fn next(&self) -> Option<Condition> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What a gateway is told.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what does not fit becomes the nearest that does, and travels within its bounds"
)]
fn said(health: &Health) -> Condition {
    let mib = |bytes: u64| u32::try_from(bytes >> 20).unwrap_or(u32::MAX);
    Condition {
        temperature_centi_c: health.temperature_c.map(|c| (100.0 * c).round() as i16),
        throttled: health.throttle_flags,
        memory_available_mib: health.memory_available_bytes.map(mib),
        memory_mib: health.memory_bytes.map(mib),
        busy_permille: health.busy.map(|share| (1e3 * share).round() as u16),
        signal_dbm: health.signal_dbm.map(|dbm| dbm.round() as i8),
    }
    .bounded()
}

/// What a gateway has heard.
#[cfg(any(feature = "service", feature = "mqtt"))]
pub fn heard(said: &Condition) -> Health {
    let bytes = |mib: u32| u64::from(mib) << 20;
    let power = tessera_health::facts::Power {
        throttled: said.throttled,
        volt_alarm: None,
    };
    Health {
        // It does not travel.
        model: None,
        temperature_c: said.temperature_centi_c.map(|c| f64::from(c) / 100.0),
        throttled: power.is_throttled(),
        memory_available_bytes: said.memory_available_mib.map(bytes),
        memory_bytes: said.memory_mib.map(bytes),
        throttle_flags: said.throttled,
        busy: said.busy_permille.map(|share| f64::from(share) / 1e3),
        signal_dbm: said.signal_dbm.map(f64::from),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Instant};

    use super::*;

    #[test]
    fn a_made_up_board_is_looked_at_once() {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
            ("sys/class/thermal/thermal_zone0/temp", "81234\n"),
            (
                "sys/devices/platform/soc/soc:firmware/get_throttled",
                "50005\n",
            ),
            (
                "proc/meminfo",
                "MemTotal: 948304 kB\nMemAvailable: 307200 kB\n",
            ),
            ("proc/stat", "cpu  1 2 3 4 5 6 7 8 9 10\n"),
        ] {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let board = BoardWatch::start(Root::new(folder.path())).unwrap();
        let begun = Instant::now();
        let found = loop {
            if let Some(found) = board.next() {
                break found;
            }
            assert!(begun.elapsed() < Duration::from_secs(60));
            thread::sleep(Duration::from_millis(1));
        };
        let expected = Condition {
            temperature_centi_c: Some(8_123),
            throttled: Some(0x5_0005),
            memory_available_mib: Some(300),
            memory_mib: Some(926),
            // It takes two looks.
            busy_permille: None,
            signal_dbm: None,
        };
        assert_eq!(found, expected);
        assert_eq!(board.next(), None, "once for every look");
    }

    #[test]
    fn odd_values_travel_within_bounds() {
        let odd = Health {
            temperature_c: Some(f64::INFINITY),
            memory_available_bytes: Some(u64::MAX),
            memory_bytes: Some(1),
            busy: Some(-1.0),
            signal_dbm: Some(-1e9),
            throttle_flags: Some(u32::MAX),
            ..Health::default()
        };
        let said = said(&odd);
        assert_eq!(said, said.bounded());
        assert_eq!(said.memory_mib, Some(1));
        assert_eq!(said.busy_permille, Some(0));
        assert_eq!(said.signal_dbm, Some(i8::MIN));
    }

    #[cfg(any(feature = "service", feature = "mqtt"))]
    #[test]
    fn what_is_said_is_heard() {
        let health = Health {
            temperature_c: Some(81.25),
            throttled: Some(true),
            throttle_flags: Some(0x5_0005),
            memory_available_bytes: Some(300 << 20),
            memory_bytes: Some(900 << 20),
            busy: Some(0.25),
            signal_dbm: Some(-56.0),
            model: None,
        };
        assert_eq!(heard(&said(&health)), health);
        assert_eq!(heard(&said(&Health::default())), Health::default());
    }
}
