//! Clients that people have.

use std::process::Command;

use anyhow::{Result, ensure};
use tessera_needs::needs;
use tessera_tests::shipped::folder;

use crate::{
    common::{DETECT, Served},
    detection,
};

fn run(command: &mut Command) -> Result<String> {
    let out = command.output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{}: {said}", out.status);
    Ok(String::from_utf8(out.stdout)?)
}

#[needs(curl)]
#[test]
fn curl_posts_a_picture() -> Result<()> {
    let served = Served::start(1, &[])?;
    served.joined(2)?;
    let picture = format!("image=@{}", folder().join("demo.png").display());
    let url = format!("http://{}{DETECT}", served.addr);
    let text = run(Command::new("curl").args([
        "-sS",
        "--fail",
        "-F",
        &picture,
        "-F",
        "min_confidence=0.4",
        &url,
    ]))?;
    detection::check(&serde_json::from_str(&text)?)?;
    served.stop()
}

/// Two pictures over one kept connection, then a mistake, as deepstack-python and Frigate's plug-in do it.
const SCRIPT: &str = r#"
import json, sys, requests
url, path = sys.argv[1:]
picture = open(path, "rb").read()
session = requests.Session()
for _ in range(2):
    answer = session.post(url, data={"api_key": ""}, files={"image": picture}, timeout=60)
    answer.raise_for_status()
    assert "Content-Length" in answer.headers and "Transfer-Encoding" not in answer.headers
bad = session.post(url, data={"min_confidence": "2"}, files={"image": picture}, timeout=60)
assert bad.status_code == 400 and bad.json()["success"] is False
print(json.dumps(answer.json()))
"#;

#[needs(python3_requests)]
#[test]
fn python_posts_pictures_over_one_connection() -> Result<()> {
    let served = Served::start(0, &[])?;
    served.joined(1)?;
    let url = format!("http://{}{DETECT}", served.addr);
    let picture = folder().join("demo.png");
    let text = run(Command::new("python3")
        .args(["-c", SCRIPT, &url])
        .arg(picture))?;
    detection::check(&serde_json::from_str(&text)?)?;
    served.stop()
}
