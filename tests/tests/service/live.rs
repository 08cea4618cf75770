//! The last picture with its boxes.

use anyhow::{Context, Result, ensure};

use crate::{
    client::Client,
    common::{DETECT, Served, picture},
};

/// Width and height of a JPEG file, by its frame header.
fn jpeg_size(jpeg: &[u8]) -> Result<[usize; 2]> {
    ensure!(
        jpeg.starts_with(&[0xff, 0xd8]) && jpeg.ends_with(&[0xff, 0xd9]),
        "no JPEG"
    );
    let mut at = 2;
    loop {
        let kind = jpeg.get(at + 1).context("a marker")?;
        let word = |at: usize| usize::from(jpeg[at]) << 8 | usize::from(jpeg[at + 1]);
        if matches!(kind, 0xc0..=0xc2) {
            return Ok([word(at + 7), word(at + 5)]);
        }
        at += 2 + word(at + 2);
    }
}

/// The next part of a live picture.
fn part(client: &mut Client) -> Result<Vec<u8>> {
    let mut len = None;
    loop {
        let line = chunked_line(client)?;
        if let Some(n) = line.strip_prefix("Content-Length: ") {
            len = Some(n.parse()?);
        }
        if let (true, Some(len)) = (line.is_empty(), len) {
            return client.chunked(len);
        }
    }
}

/// A line of a body in chunks, byte by byte.
fn chunked_line(client: &mut Client) -> Result<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.extend(client.chunked(1)?);
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

#[test]
fn the_last_picture_is_shown_with_its_boxes() -> Result<()> {
    let served = Served::start(0, &[])?;
    served.joined(1)?;
    let mut client = served.client()?;
    assert_eq!(client.get("/snapshot.jpg")?.status, 404);
    let mut live = served.client()?;
    live.send("GET", "/stream.mjpg", &[], b"")?;
    let (status, headers) = live.head()?;
    assert_eq!(status, 200);
    let kind = headers.iter().find(|(n, _)| n == "content-type");
    assert_eq!(
        kind.context("a kind")?.1,
        "multipart/x-mixed-replace; boundary=tessera-frame"
    );
    assert_eq!(client.post(DETECT, Some(&picture()), &[])?.status, 200);
    let shot = client.get("/snapshot.jpg")?;
    assert_eq!(shot.header("content-type"), Some("image/jpeg"));
    assert_eq!(jpeg_size(&shot.body)?, [640, 480]);
    assert_eq!(part(&mut live)?, shot.body, "everybody sees the same");
    // The next one follows by itself.
    assert_eq!(client.post(DETECT, Some(&picture()), &[])?.status, 200);
    assert_eq!(jpeg_size(&part(&mut live)?)?, [640, 480]);
    // It is the posted picture where no box is, and another one where boxes are.
    let drawn = tessera_picture::load_bytes("shot", &shot.body, Default::default())?;
    let plain = tessera_picture::load_bytes("demo", &picture(), Default::default())?;
    let far = |x: usize, y: usize| {
        let (a, b) = (drawn.pixel(x, y), plain.pixel(x, y));
        a.iter().zip(b).any(|(a, b)| a.abs_diff(b) > 60)
    };
    let all = || (0..480).flat_map(|y| (0..640).map(move |x| (x, y)));
    let changed = all().filter(|&(x, y)| far(x, y)).count();
    assert!((2_000..100_000).contains(&changed), "{changed} pixels");
    served.stop()
}

#[test]
fn few_may_watch_at_a_time() -> Result<()> {
    let served = Served::start(0, &[])?;
    let mut watching = Vec::new();
    for _ in 0..8 {
        let mut client = served.client()?;
        client.send("GET", "/stream.mjpg", &[], b"")?;
        assert_eq!(client.head()?.0, 200);
        watching.push(client);
    }
    let mut client = served.client()?;
    let answer = client.get("/stream.mjpg")?;
    assert_eq!(answer.status, 503);
    answer.json()?;
    assert_eq!(client.get("/healthz")?.status, 200);
    served.stop()
}
