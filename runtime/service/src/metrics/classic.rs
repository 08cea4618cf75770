//! Prometheus' older text, made from OpenMetrics: the same samples under slightly other headers.

/// The older text of an OpenMetrics text.
///
/// There, a counter's and an information metric's header has the name of their samples, `_total` and `_info` included;
/// types that it lacks have other names; units and the end are not marked.
pub fn from_openmetrics(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut help: Option<(&str, &str)> = None;
    for line in text.lines() {
        if let Some((name, rest)) = word(line, "# HELP ") {
            // The type comes next, and says the name's ending.
            help = Some((name, rest));
        } else if let Some((name, kind)) = word(line, "# TYPE ") {
            let (ending, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            if let Some((_, rest)) = help.take().filter(|(n, _)| *n == name) {
                // Quotes need no escape there.
                let rest = rest.replace("\\\"", "\"");
                out.push_str(&format!("# HELP {name}{ending} {rest}\n"));
            }
            out.push_str(&format!("# TYPE {name}{ending} {kind}\n"));
        } else if !line.starts_with('#') && !line.is_empty() {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// The next word behind `start`, and the rest.
fn word<'a>(line: &'a str, start: &str) -> Option<(&'a str, &'a str)> {
    line.strip_prefix(start)?.split_once(' ')
}

#[cfg(test)]
mod tests {
    use super::from_openmetrics;

    #[test]
    fn headers_follow_the_older_rules() {
        let open = "# HELP a_frames Frames \\\"here\\\".\n# TYPE a_frames counter\na_frames_total{x=\"1\"} 3\n\
                    # HELP b What.\n# TYPE b info\nb_info{v=\"2\"} 1\n# HELP c_seconds T.\n# TYPE c_seconds gauge\n\
                    # UNIT c_seconds seconds\nc_seconds 0.5\n# TYPE d unknown\nd 1\n# EOF\n";
        let classic = "# HELP a_frames_total Frames \"here\".\n# TYPE a_frames_total counter\na_frames_total{x=\"1\"} 3\n\
                       # HELP b_info What.\n# TYPE b_info gauge\nb_info{v=\"2\"} 1\n# HELP c_seconds T.\n\
                       # TYPE c_seconds gauge\nc_seconds 0.5\n# TYPE d untyped\nd 1\n";
        assert_eq!(from_openmetrics(open), classic);
    }
}
