//! What clients get wrong, in the words that they know.

use anyhow::Result;

use crate::{
    client::Client,
    common::{DETECT, Served, picture},
    detection,
};

/// A picture, further parts, and the error that they lead to.
type Case<'a> = (Option<&'a [u8]>, &'a [(&'a str, &'a str)], &'a str);

#[test]
fn mistakes_are_told_and_the_connection_lives_on() -> Result<()> {
    let served = Served::start(0, &[])?;
    served.joined(1)?;
    let png = picture();
    let mut client = served.client()?;
    let half = &png[..png.len() / 2];
    let text: &[u8] = b"this is no picture";
    let cases: [Case; 7] = [
        (None, &[], "No valid image file found"),
        (Some(b""), &[], "No valid image file found"),
        (Some(text), &[], "invalid image file"),
        (Some(half), &[], "invalid image file"),
        (
            Some(&png),
            &[("min_confidence", "abc")],
            "Invalid value for min_confidence",
        ),
        (
            Some(&png),
            &[("min_confidence", "1.01")],
            "min_confidence cannot be greater than 1",
        ),
        (
            Some(&png),
            &[("min_confidence", "-1")],
            "Invalid value for min_confidence",
        ),
    ];
    for (picture, parts, error) in cases {
        let answer = client.post(DETECT, picture, parts)?;
        assert_eq!(answer.status, 400, "{error}: {}", answer.text());
        let answer = answer.json()?;
        assert_eq!(
            (&answer["success"], &answer["error"]),
            (&false.into(), &error.into())
        );
        assert_eq!(answer["predictions"].as_array().map(Vec::len), Some(0));
        // The other dialect tells the same with status 200.
        let answer = client.post(&format!("{DETECT}?profile=codeproject"), picture, parts)?;
        assert_eq!(answer.status, 200);
        let answer = answer.json()?;
        assert_eq!(
            (&answer["success"], &answer["code"]),
            (&false.into(), &400.into())
        );
    }
    let unknown = client.post(&format!("{DETECT}?profile=best"), Some(&png), &[])?;
    assert_eq!(unknown.status, 400);
    // No mistake has changed anything.
    let answer = client.post(DETECT, Some(&png), &[])?.json()?;
    detection::check(&answer)?;
    served.stop()
}

#[test]
fn what_is_too_large_is_read_to_its_end_and_refused() -> Result<()> {
    let served = Served::start(0, &[])?;
    served.joined(1)?;
    let large = vec![0; 31 << 20];
    let mut client = served.client()?;
    let answer = client.post(DETECT, Some(&large), &[])?;
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert_eq!(answer.json()?["success"], false);
    let answer = client.post(DETECT, Some(&picture()), &[])?.json()?;
    detection::check(&answer)?;
    // A client that leaves in the middle takes nothing along.
    let mut leaves = served.client()?;
    leaves.send(
        "POST",
        DETECT,
        &[("content-type", "image/png"), ("expect", "nothing")],
        b"",
    )?;
    drop(leaves);
    let mut again = Client::new(served.addr)?;
    assert_eq!(again.get("/healthz")?.status, 200);
    served.stop()
}
