//! What is simulated of a cluster: frames, failures, chance.

use tessera_sim::{
    Fault, LinkConditions, ScheduledFault, course::Sources, timing::SOURCE_START_US,
};

/// A board that is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kill {
    /// Number of the node: 0 is the gateway, others count from 1, as `--id` has them.
    pub node: usize,
    /// Seconds since the sources started.
    pub at_s: f64,
}

/// What to simulate of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Frames, and who brings them.
    pub sources: Sources,
    /// Share of datagrams that the network loses, from 0 to 1.
    pub loss: f64,
    /// Share of the tasks that others compute for a source which the source computes again, from 0 to 1.
    pub verify: f64,
    /// Boards that are killed.
    pub kills: Vec<Kill>,
    /// Seed of all chance.
    pub seed: u64,
    /// Whether tasks compute values and all values are checked, which takes long and changes no time.
    pub values: bool,
    /// Virtual seconds after which the run ends in any case.
    pub seconds_max: f64,
}

impl Settings {
    /// One frame, nothing lost.
    pub const fn one_frame() -> Self {
        Self {
            sources: Sources {
                boards: 1,
                frames: 1,
                in_flight: 1,
                interval_s: 0.0,
            },
            loss: 0.0,
            verify: 0.0,
            kills: Vec::new(),
            seed: 1,
            values: false,
            seconds_max: tessera_sim::timing::SECONDS_MAX,
        }
    }

    /// The kills as the simulator has them.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "times are bounded"
    )]
    pub(crate) fn faults(&self) -> Vec<ScheduledFault> {
        let fault = |k: &Kill| {
            let at_us = SOURCE_START_US + (1e6 * k.at_s).round() as u64;
            (at_us, Fault::Crash { node: k.node })
        };
        self.kills.iter().map(fault).collect()
    }

    /// The share that sources check, in parts per million.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share"
    )]
    pub(crate) fn verify_ppm(&self) -> u32 {
        (1e6 * self.verify).round() as u32
    }

    /// What happens to datagrams.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share"
    )]
    pub(crate) fn conditions(&self) -> LinkConditions {
        LinkConditions {
            loss_ppm: (1e6 * self.loss).round() as u32,
            ..LinkConditions::default()
        }
    }
}
