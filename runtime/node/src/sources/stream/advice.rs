//! What to do about ffmpeg's complaints.

/// Words of a complaint, and what to do about it. The first row that fits holds.
const ADVICE: &[(&str, &str)] = &[
    (
        "401 Unauthorized",
        "the camera asks for another user name or password: give them as rtsp://USER:PASSWORD@HOST/PATH, special characters as %XX",
    ),
    (
        "403 Forbidden",
        "the camera refuses this user: give it the right to see the stream",
    ),
    (
        "404 ",
        "the camera is there, but has no such stream: look for the path in its manual",
    ),
    (
        "454 Session Not Found",
        "the camera has ended the session: it may allow fewer viewers",
    ),
    (
        "453 Not Enough Bandwidth",
        "the camera has too many viewers: end one of them",
    ),
    (
        "Server returned 5",
        "the camera's server has failed: start the camera again",
    ),
    (
        "Connection refused",
        "nothing listens there: is the camera on, and is the port the right one?",
    ),
    (
        "No route to host",
        "the camera cannot be reached: is it on, and in this network?",
    ),
    (
        "Network is unreachable",
        "this board has no way to that network: look at its address and router",
    ),
    (
        "Failed to resolve hostname",
        "nobody knows that host: look at its name, or give its address",
    ),
    (
        "Name or service not known",
        "nobody knows that host: look at its name, or give its address",
    ),
    (
        "Temporary failure in name resolution",
        "the name server does not answer: give the host's address",
    ),
    (
        "timed out",
        "the camera does not answer: is it on, and is the port the right one?",
    ),
    (
        "moov atom not found",
        "this video has no index, so its recording was cut off: repair it, or record as .mkv or .ts",
    ),
    (
        "Invalid data found",
        "this is no picture or video that ffmpeg can read",
    ),
    (
        "Device or resource busy",
        "another program uses the camera: end it (fuser -v DEVICE shows which)",
    ),
    (
        "Permission denied",
        "this user may not read it; for a camera: sudo usermod -aG video USER, then log in again",
    ),
    (
        "Not a video capture device",
        "this device gives no pictures: v4l2-ctl --list-devices shows which do",
    ),
    (
        "Inappropriate ioctl",
        "this device gives no pictures: v4l2-ctl --list-devices shows which do",
    ),
    ("No such device", "the camera is gone: plug it in again"),
    (
        "no cameras available",
        "the board sees no camera at its ribbon cable: look at the cable, and at rpicam-hello --list-cameras",
    ),
    ("No such file", "nothing is there: look at the path"),
    (
        "matches no streams",
        "there is sound or text in it, but no picture",
    ),
    (
        "Unknown input format",
        "this ffmpeg was built without that kind of input: sudo apt install ffmpeg brings a complete one",
    ),
    (
        "Protocol not found",
        "this ffmpeg was built without that protocol: sudo apt install ffmpeg brings a complete one",
    ),
    (
        "Unrecognized option",
        "this ffmpeg is too old or too new for the node; versions 4.3 to 7 are known to work",
    ),
    (
        "Cannot allocate memory",
        "the board's memory is full: choose a smaller picture in the camera's settings",
    ),
];

/// What `complaints` mean, and the last of them. Empty without any.
pub fn advice(complaints: &[String]) -> String {
    let row = complaints.iter().rev().find_map(|c| {
        let row = ADVICE.iter().find(|(words, _)| c.contains(words));
        row.map(|(_, what)| (*what, c))
    });
    match (row, complaints.last()) {
        (Some((what, complaint)), _) => format!("{what} (ffmpeg: {complaint})"),
        (None, Some(complaint)) => format!("ffmpeg: {complaint}"),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_translated_and_kept() {
        let of =
            |lines: &[&str]| advice(&lines.iter().map(ToString::to_string).collect::<Vec<_>>());
        let text = of(&[
            "Connection to tcp://cam:554 failed: Connection refused",
            "Error opening input files: Input/output error",
        ]);
        assert!(text.starts_with("nothing listens there"), "{text}");
        assert!(text.ends_with("(ffmpeg: Connection to tcp://cam:554 failed: Connection refused)"));
        assert_eq!(of(&["some new words"]), "ffmpeg: some new words");
        assert_eq!(of(&[]), "");
    }
}
