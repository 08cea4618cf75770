//! The small requests of DeepStack's and CodeProject.AI's clients beside detection.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::{
    Server,
    answer::{self, Answer},
};

/// The answer to one of them; `None` when the path is none of theirs.
pub fn answer(server: &Server, path: &str, is_post: bool) -> Option<Answer> {
    if path == "/v1/vision/custom/list" && is_post {
        // The one network, under its name.
        let value = json!({
            "success": true,
            "models": [server.about.program],
            "code": 200,
        });
        return Some(answer::json(StatusCode::OK, &value));
    }
    if path == "/v1/vision/scene" || path.starts_with("/v1/vision/face") {
        let value = json!({
            "success": false,
            "error": "this endpoint is not activated: this cluster detects objects",
            "code": 403,
            "duration": 0,
        });
        return Some(answer::json(StatusCode::FORBIDDEN, &value));
    }
    let what = path
        .strip_prefix("/v1/status/")
        .or_else(|| path.strip_prefix("/v1/server/status/"))?;
    let version = version(&server.about.version);
    let text = &server.about.version;
    let value = match what {
        "ping" | "version" => json!({
            "success": true,
            "code": 200,
            "message": text,
            "version": version,
        }),
        "updateavailable" => json!({
            "success": true,
            "message": "this version does not look for newer ones",
            "version": null,
            "current": version,
            "latest": version,
            "updateAvailable": false,
        }),
        "system-status" | "paths" => json!({ "success": true, "code": 200 }),
        _ => return None,
    };
    Some(answer::json(StatusCode::OK, &value))
}

/// A version in parts.
fn version(text: &str) -> Value {
    let (numbers, pre) = text.split_once('-').unwrap_or((text, ""));
    let mut parts = numbers.split('.').map(|p| p.parse::<u32>().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    json!({
        "major": next(),
        "minor": next(),
        "patch": next(),
        "preRelease": pre,
        "securityUpdate": false,
        "build": 0,
        "file": "",
        "releaseNotes": "",
    })
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_come_in_parts() {
        let of = |text| {
            let v = version(text);
            let parts = ["major", "minor", "patch", "preRelease"].map(|name| v[name].to_string());
            parts.join(" ")
        };
        assert_eq!(of("1.20.3"), r#"1 20 3 """#);
        assert_eq!(of("0.1-rc.2"), r#"0 1 0 "rc.2""#);
    }
}
