//! Who may ask.

use std::{fs, os::unix::fs::PermissionsExt};

use anyhow::Result;
use tessera_tests::rig::{End, Process, SHORT};

use crate::common::{DETECT, Served, node, picture};

const WORD: &str = "a-word-of-twenty-one";

#[test]
fn without_the_word_there_is_only_health() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("http.token");
    fs::write(&file, format!("{WORD}\n"))?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    let served = Served::start_with(0, &["--http-token", &file.display().to_string()])?;
    let mut client = served.client()?;
    for path in ["/healthz", "/readyz"] {
        assert_ne!(client.get(path)?.status, 401, "{path}");
    }
    for path in [
        "/",
        "/metrics",
        "/v1/status",
        "/snapshot.jpg",
        "/stream.mjpg",
        "/x",
    ] {
        let answer = client.get(path)?;
        assert_eq!(answer.status, 401, "{path}");
        answer.json()?;
    }
    let bearer = [("authorization", &*format!("Bearer {WORD}"))];
    assert_eq!(client.ask("GET", "/metrics", &bearer, b"")?.status, 200);
    assert_eq!(client.get(&format!("/v1/status?token={WORD}"))?.status, 200);
    assert_eq!(client.get("/v1/status?token=another")?.status, 401);
    // Clients of detection send the word in their forms.
    for (key, status) in [("", 401), ("wrong", 401), (WORD, 503)] {
        let answer = client.post(DETECT, Some(&picture()), &[("api_key", key)])?;
        assert_eq!(answer.status, status, "{key}: {}", answer.text());
        answer.json()?;
    }
    served.stop()
}

#[test]
fn other_machines_need_a_word_that_nobody_else_can_read() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("http.token");
    fs::write(&file, WORD)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
    let open = file.display().to_string();
    let short = dir.path().join("short");
    fs::write(&short, "word")?;
    fs::set_permissions(&short, fs::Permissions::from_mode(0o600))?;
    let short = short.display().to_string();
    for (flags, said) in [
        (&["--http", "0.0.0.0:0"][..], "--http-token"),
        (
            &["--http", "127.0.0.1:0", "--http-token", &open],
            "chmod 600",
        ),
        (
            &["--http", "127.0.0.1:0", "--http-token", &short],
            "16 to 256",
        ),
        (&["--http", "localhost"], "127.0.0.1:32168"),
        (
            &["--http", "127.0.0.1:0", "--http-profile", "x"],
            "deepstack",
        ),
    ] {
        let mut command = node().command("gateway");
        command.args(["--listen", "127.0.0.1:0"]).args(flags);
        let node = Process::start(command, "refused", dir.path())?;
        let end = node.wait(SHORT)?;
        assert!(matches!(end, End::Code(1 | 2)), "{flags:?}: {end:?}");
        let complaint = node.complaint();
        assert!(complaint.contains(said), "{flags:?}: {complaint}");
    }
    Ok(())
}
