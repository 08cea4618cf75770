//! One system on so many boards: a plan, and one frame of it in virtual time.

use serde::{Deserialize, Serialize};
use tessera_planner::{make, model::Model};
use tessera_simulate::{Settings, SimulatedCluster};

use crate::{
    EvaluationError, pi3,
    systems::{SYSTEMS, System, Times},
};

/// Version of what cells mean: raised when a system or its boards change, so that older results are made anew.
pub const VERSION: u32 = 3;

/// Most devices of the paper.
pub const DEVICES_MAX: usize = 6;

/// A place in the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index in [`SYSTEMS`].
    pub system: usize,
    /// The grid, if the system has one.
    pub grid: Option<[usize; 2]>,
    /// Boards that compute.
    pub devices: usize,
    /// Boards among them that bring a frame each.
    pub sources: usize,
}

/// What was found there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// See [`VERSION`].
    pub version: u32,
    /// See [`Place::name`].
    pub name: String,
    /// Name of the plan.
    pub plan: String,
    /// Seconds until all results were at the gateway, as the paper counts them.
    pub latency_s: f64,
    /// The same of the frame that took longest, if several sources bring one each.
    pub longest_s: f64,
    /// MiB of values that travelled.
    pub values_mib: f64,
    /// MiB of datagrams' payloads, headers and messages of the protocol included.
    pub datagrams_mib: f64,
    /// Tasks that ran away from where they are at home.
    pub stolen: usize,
}

impl Place {
    /// All places, in the order of systems, grids, devices and sources.
    pub fn all() -> Vec<Self> {
        let mut list = Vec::new();
        for (system, entry) in SYSTEMS.iter().enumerate() {
            for grid in entry.grids() {
                let place = |devices, sources| Self {
                    system,
                    grid,
                    devices,
                    sources,
                };
                list.extend((1..=DEVICES_MAX).map(|devices| place(devices, 1)));
                list.extend((2..=DEVICES_MAX).map(|sources| place(DEVICES_MAX, sources)));
            }
        }
        list
    }

    /// Its name in files: `wst-3x3-4`, with several sources `wst-3x3-6-2`.
    pub fn name(&self) -> String {
        let key = SYSTEMS[self.system].key;
        let of = match self.sources {
            1 => self.devices.to_string(),
            n => format!("{}-{n}", self.devices),
        };
        match self.grid {
            Some([r, c]) => format!("{key}-{r}x{c}-{of}"),
            None => format!("{key}-{of}"),
        }
    }

    /// The system.
    pub fn entry(&self) -> &'static System {
        &SYSTEMS[self.system]
    }
}

/// Plans and simulates one frame of every source. `model` is YOLOv2.
///
/// # Errors
/// When no plan is possible, or the frame does not end.
#[expect(clippy::cast_precision_loss, reason = "sizes in MiB")]
pub fn run(place: Place, model: &Model) -> Result<Cell, EvaluationError> {
    let system = place.entry();
    let board = pi3::edge()?;
    let options = (system.options)(place.grid, place.devices, &board);
    let plan = make::plan(model, &options)?;
    let cluster = match system.times {
        Times::Planner => SimulatedCluster::new(&model.graph, &plan, &options)?,
        Times::Paper => {
            let times = pi3::paper_times(&model.graph, &plan)?;
            let boards = options.boards.iter().map(|b| (b, times.clone()));
            let boards: Vec<_> = boards.collect();
            SimulatedCluster::of_times(&plan, &boards, &options.gateway, 0.0)?
        }
    };
    let mut settings = Settings::one_frame();
    settings.sources.boards = place.sources;
    let outcome = cluster.run(&settings)?;
    let endless = EvaluationError::Endless {
        system: system.name,
        devices: place.devices,
    };
    let merged = outcome.summary.merged_s.ok_or(endless)?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    Ok(Cell {
        version: VERSION,
        name: place.name(),
        plan: plan.name,
        latency_s: merged.first,
        longest_s: merged.most,
        values_mib: mib(outcome.summary.values_bytes()),
        datagrams_mib: mib(outcome.summary.sent_bytes),
        stolen: outcome.summary.stolen,
    })
}
