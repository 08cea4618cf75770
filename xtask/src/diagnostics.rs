//! Draws a cfg's diagnostics: the line, a mark under the faulty part, and the help.

use std::{iter, ops::Range};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use tessera_planner::cfg::diag::{Diagnostic, Severity, Span};

use crate::out::note;

/// Most bytes of a line that a diagnostic shows from the span's beginning on.
const SHOWN_BYTES_MAX: usize = 200;

/// Prints `diagnostics` of the cfg `text` to stderr, in colours where stderr shows them.
pub fn print(diagnostics: &[Diagnostic], file: &str, text: &[u8]) {
    for d in diagnostics {
        note!("{}\n", render(d, file, text, &Renderer::styled()));
    }
}

/// Renders a diagnostic in a compiler's style, without a line break at the end.
fn render(d: &Diagnostic, file: &str, text: &[u8], renderer: &Renderer) -> String {
    let level = match d.severity {
        Severity::Warning => Level::WARNING,
        Severity::Error => Level::ERROR,
        Severity::Unsupported => Level::ERROR.with_name(d.severity.word()),
    };
    let primary = (AnnotationKind::Primary, d.span, d.label.as_str());
    let others = d.secondary.iter();
    let places = iter::once(primary)
        .chain(others.map(|(span, label)| (AnnotationKind::Context, *span, label.as_str())));
    let mut group = Group::with_title(level.primary_title(d.message.as_str()));
    for (kind, span, label) in places {
        group = if span.line == 0 {
            group.element(Origin::path(file))
        } else {
            let (line, range) = excerpt(text, span);
            group.element(
                Snippet::source(line)
                    .path(file)
                    .line_start(span.line)
                    .annotation(kind.span(range).label(label)),
            )
        };
    }
    if !d.help.is_empty() {
        group = group.element(Level::HELP.message(d.help.as_str()));
    }
    renderer.render(&[group])
}

/// The span's line as text, and the span inside that line. The renderer needs no other lines, and a cfg may
/// contain invalid UTF-8.
fn excerpt(text: &[u8], span: Span) -> (String, Range<usize>) {
    let start = span.start.min(text.len());
    let begin = start - span.column.saturating_sub(1).min(start);
    let rest = text[start..].iter().take(SHOWN_BYTES_MAX);
    let end = start + rest.take_while(|b| !matches!(b, b'\n' | b'\r')).count();
    let behind = span.end.clamp(start, end);
    let mut line = String::from_utf8_lossy(&text[begin..start]).into_owned();
    let from = line.len();
    line += &String::from_utf8_lossy(&text[start..behind]);
    let to = line.len();
    line += &String::from_utf8_lossy(&text[behind..end]);
    (line, from..to)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tessera_plan::graph::Darknet;
    use tessera_planner::cfg;

    use super::*;

    fn rendered(text: &[u8]) -> Vec<String> {
        let (_, diagnostics) = cfg::read(text, "net", Darknet::Alexey);
        let one = |d: &Diagnostic| render(d, "models/net.cfg", text, &Renderer::plain());
        diagnostics.iter().map(one).collect()
    }

    #[test]
    fn mistakes_in_one_line() {
        let text = "[net]\nwidth=416\nheight=416\nchannels=3\n\n\
            [convolutional]\nfilters=sixteen\n  filters = 16\nactivation = leeky # ok\n\n\
            [maxpool] # halves\nsize=2\nstride=0\n\n\
            [convolutional]\nfilters=32\ndilations=2\n\n\
            [route]\nlayers=-1,9\n\n\
            [gru]\noutput=10\n\n\
            [convolutional]\nfilters=255\nsize=\n\n\
            [\u{e9}t\u{e9}]\n";
        insta::assert_snapshot!(rendered(text.as_bytes()).join("\n\n"));
    }

    #[test]
    fn mistakes_that_concern_several_lines() {
        let text = "[net]\nwidth=33\nheight=32\nchannels=3\n\
            [convolutional]\nfilters=4\nsize=3\npad=1\n\
            [maxpool]\nsize=2\nstride=2\n\
            [upsample]\n\
            [route]\nlayers=-1,0\n";
        insta::assert_snapshot!(rendered(text.as_bytes()).join("\n\n"));
    }

    #[test]
    fn mistakes_of_a_whole_file() {
        insta::assert_snapshot!(rendered(b"# nothing\n").join("\n\n"), @r"
        error: no sections: this file describes no network
        --> models/net.cfg
         = help: a cfg begins with [net]; is this the right file?
        ");
    }

    #[test]
    fn long_lines_are_cut() {
        let text = format!(
            "[net]\nwidth={}\n[{}]\n",
            "9".repeat(500_000),
            "a".repeat(500_000)
        );
        for shown in rendered(text.as_bytes()) {
            assert!(shown.len() < 2000, "{} bytes", shown.len());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever a cfg holds and wherever a span lies.
        #[test]
        fn anything_can_be_drawn(
            lines in prop::collection::vec("\\PC{0,30}|[\\[\\]a-z=#, \t\r\u{7f}\u{85}\u{200b}]{0,30}", 0..8),
            raw in prop::collection::vec(any::<u8>(), 0..40),
            numbers in any::<[u8; 4]>(),
        ) {
            let text = [lines.join("\n").as_bytes(), &raw].concat();
            for shown in rendered(&text) {
                prop_assert!(shown.contains("models/net.cfg"), "{shown}");
            }
            let [start, end, line, column] = numbers.map(usize::from);
            let d = Diagnostic::new(
                Severity::Error,
                Span { start, end, line, column },
                String::from_utf8_lossy(&raw),
                String::from_utf8_lossy(&raw),
                "help",
            );
            let shown = render(&d, "net.cfg", &text, &Renderer::plain());
            prop_assert!(shown.contains("net.cfg"), "{shown}");
        }
    }
}
