//! Pictures that cannot be computed now: others wait, time is over, the edge dies.

use anyhow::{Context, Result};
use tessera_tests::rig::wait_for;

use crate::{
    client::{Client, form},
    common::{DETECT, LONG, Served, hold, picture},
    detection,
};

/// Pictures that may wait at a time.
const PLACES: usize = 8;

fn post(client: &mut Client) -> Result<()> {
    let (kind, body) = form(Some(&picture()), &[]);
    client.send("POST", DETECT, &[("content-type", &kind)], &body)
}

fn in_flight(client: &mut Client) -> Result<u64> {
    let status = client.get("/v1/status")?.json()?;
    status["posts"]["in_flight"].as_u64().context("in flight")
}

#[test]
fn places_are_bounded_and_whoever_has_one_gets_an_answer() -> Result<()> {
    let served = Served::start(0, &["--http-deadline", "120"])?;
    served.joined(1)?;
    let worker = hold(&served, served.own_edge()?)?;
    let mut waiting: Vec<Client> = (0..PLACES)
        .map(|_| served.client())
        .collect::<Result<_>>()?;
    waiting.iter_mut().try_for_each(post)?;
    let mut client = served.client()?;
    wait_for(LONG, || {
        let all = in_flight(&mut client)? == PLACES as u64;
        Ok(all.then_some(()))
    })?;
    let answer = client.post(DETECT, Some(&picture()), &[])?;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.json()?["success"], false);
    // The others' turn comes.
    served.pause(worker, false)?;
    for client in &mut waiting {
        detection::check(&client.answer(false)?.json()?)?;
    }
    assert_eq!(in_flight(&mut client)?, 0);
    served.stop()
}

#[test]
fn time_is_over_for_a_picture_and_not_for_the_next() -> Result<()> {
    let served = Served::start(0, &["--http-deadline", "1.5"])?;
    served.joined(1)?;
    let worker = hold(&served, served.own_edge()?)?;
    let mut client = served.client()?;
    let answer = client.post(DETECT, Some(&picture()), &[])?;
    assert_eq!(answer.status, 500, "{}", answer.text());
    assert_eq!(
        answer.json()?["error"],
        "failed to process request before timeout"
    );
    served.pause(worker, false)?;
    // The late frame is computed all the same, and nobody is confused by it.
    served.cluster.wait_records(1, LONG)?;
    wait_for(LONG, || {
        let answer = client.post(DETECT, Some(&picture()), &[])?;
        Ok((answer.status == 200).then_some(answer))
    })
    .and_then(|answer| detection::check(&answer.json()?))?;
    served.stop()
}

#[test]
fn an_edge_that_dies_takes_its_pictures_along_and_the_next_goes_on() -> Result<()> {
    let served = Served::start(0, &["--http-deadline", "120"])?;
    served.joined(1)?;
    let edge = served.own_edge()?;
    hold(&served, edge)?;
    let mut client = served.client()?;
    post(&mut client)?;
    let mut other = served.client()?;
    wait_for(LONG, || {
        let status = other.get("/v1/status")?.json()?;
        let queue = status["queue"].as_array().context("queue")?;
        Ok((!queue.is_empty()).then_some(()))
    })?;
    served.cluster.gateway.kill_child(edge)?;
    let answer = client.answer(false)?;
    assert_eq!(answer.status, 500, "{}", answer.text());
    answer.json()?;
    // It is started again; until it has joined, a picture waits for it.
    let answer = client.post(DETECT, Some(&picture()), &[])?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    detection::check(&answer.json()?)?;
    served.stop()
}
