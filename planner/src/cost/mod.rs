//! Cost model of computing and sending: seconds of tasks on boards, and a schedule of one frame.

mod layers;
mod rates;
mod schedule;
mod tasks;

pub use self::{
    layers::LayerTimes,
    rates::rates,
    schedule::{Orders, PlacementError, Run, Schedule, schedule, schedule_placed},
    tasks::{TaskTime, net_s, stage_times, tail_s},
};
