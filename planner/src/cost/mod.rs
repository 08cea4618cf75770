//! Cost model of computing and sending: seconds of tasks on boards, and a schedule of one frame.

mod homes;
mod layers;
mod rates;
mod schedule;
mod tasks;

pub(crate) use self::schedule::ROUNDING;
pub use self::{
    homes::{Placed, homes, place, place_below, place_well, share},
    layers::LayerTimes,
    rates::rates,
    schedule::{
        Orders, PlacementError, Run, Schedule, schedule, schedule_at_home, schedule_placed,
    },
    tasks::{TaskTime, net_s, reuse_times, stage_times, tail_s},
};
