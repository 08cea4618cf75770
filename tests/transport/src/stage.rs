//! A run in real time: a thread for each node, which begin and end together.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, anyhow};

use crate::{
    cell::Cell,
    found::{Found, NodeFound},
    load::Load,
    now::Clock,
    relay::Relay,
};

/// What the threads of a run tell each other.
#[derive(Debug, Default)]
pub struct Stage {
    /// Nodes that have their sessions.
    pub ready: AtomicUsize,
    /// Set when fetches may begin.
    pub begun: AtomicBool,
    /// Receivers that have everything.
    pub done: AtomicUsize,
    /// Set at the end.
    pub over: AtomicBool,
}

/// What a node's thread returns: what it did, and when its last fetch ended by the run's clock.
pub type NodeEnd = Result<(NodeFound, u64)>;

impl Stage {
    /// Waits for the nodes, lets them begin, and ends them when all is fetched or the time is over. Returns the time of the
    /// beginning.
    ///
    /// # Errors
    /// When the nodes do not get ready.
    fn run(
        &self,
        load: &Load,
        relay: Option<&Relay>,
        clock: Clock,
        seconds_max: u64,
    ) -> Result<u64> {
        let receivers = (0..load.nodes)
            .filter(|n| !load.fetches_of(*n).is_empty())
            .count();
        let nap = || std::thread::sleep(Duration::from_millis(2));
        let started = clock.now_us();
        while self.ready.load(Ordering::Acquire) < load.nodes {
            if clock.now_us() > started + 30_000_000 {
                self.over.store(true, Ordering::Release);
                return Err(anyhow!("nodes do not reach each other"));
            }
            nap();
        }
        if let Some(relay) = relay {
            relay.begin();
        }
        let began = clock.now_us();
        self.begun.store(true, Ordering::Release);
        while self.done.load(Ordering::Acquire) < receivers
            && clock.now_us() < began + 1_000_000 * seconds_max
        {
            nap();
        }
        self.over.store(true, Ordering::Release);
        Ok(began)
    }
}

/// Runs the nodes, a thread each, and sums up what they did.
///
/// # Errors
/// When nodes do not reach each other, or one of them fails.
pub fn play<N>(
    cell: &Cell,
    carrier: &str,
    load: &Load,
    relay: Option<&Relay>,
    seconds_max: u64,
    nodes: Vec<N>,
) -> Result<Found>
where
    N: FnOnce(&Stage, Clock) -> NodeEnd + Send,
{
    let (stage, clock) = (Stage::default(), Clock::start());
    let (began, ends) = std::thread::scope(|scope| {
        let stage = &stage;
        let threads: Vec<_> = (nodes.into_iter())
            .map(|node| scope.spawn(move || node(stage, clock)))
            .collect();
        let began = stage.run(load, relay, clock, seconds_max);
        let ends = threads.into_iter().map(|t| {
            let end = t.join().map_err(|_| anyhow!("a node's thread panicked"));
            end.context("node").flatten()
        });
        (began, ends.collect::<Vec<NodeEnd>>())
    });
    sum_up(cell, carrier, load, began, clock, ends)
}

/// Sums up a run.
///
/// # Errors
/// When a node failed.
fn sum_up(
    cell: &Cell,
    carrier: &str,
    load: &Load,
    began: Result<u64>,
    clock: Clock,
    ends: Vec<NodeEnd>,
) -> Result<Found> {
    let over = clock.now_us();
    let ends = ends.into_iter().collect::<Result<Vec<_>>>()?;
    let began = began?;
    let whole: usize = ends.iter().map(|(n, _)| n.took_us.len()).sum();
    let last = ends.iter().map(|(_, last)| *last).max().unwrap_or(0);
    let is_whole = whole == load.fetches.len();
    let seconds = 1e-6 * (if is_whole { last } else { over }).saturating_sub(began) as f64;
    // Without all boxes, what came is counted by the mean of them.
    let payload = load.bytes() * whole / load.fetches.len().max(1);
    let nodes: Vec<NodeFound> = ends.into_iter().map(|(n, _)| n).collect();
    let wanted = load.fetches.len();
    Ok(Found::new(
        cell, carrier, wanted, payload, seconds, &nodes, true,
    ))
}
