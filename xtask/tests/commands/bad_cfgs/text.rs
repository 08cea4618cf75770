//! Sections, keys, lines, encodings.

use super::layers;
use crate::rig::{CONV, Folder, inspect, net};

#[test]
fn a_cfg_without_sections_is_an_error() {
    inspect("").says(1, &["no sections", "net.cfg", "help:"]);
    inspect("# only a comment\n\n").says(1, &["no sections"]);
}

#[test]
fn the_first_section_must_be_net() {
    inspect(CONV).says(
        1,
        &["net.cfg:1:", "line 1: the first section must be [net]"],
    );
    inspect(net(CONV).replace("[net]", "\n[NET]")).says(1, &["net.cfg:2:", "lower case"]);
}

#[test]
fn a_key_before_any_section_is_an_error() {
    inspect(format!("width=3\n{}", net(CONV))).says(
        1,
        &["net.cfg:1:", "`width=3` stands before the first section"],
    );
}

#[test]
fn an_unknown_section_is_an_error_with_the_nearest_name() {
    layers(&format!("{CONV}[upsampel]\nstride=2\n")).says(
        1,
        &[
            "net.cfg:10:",
            "unknown section [upsampel]",
            "did you mean [upsample]",
        ],
    );
    layers(&format!("{CONV}[CONVOLUTIONAL]\n")).says(1, &["did you mean [convolutional]?", "case"]);
    layers("[something]\n").says(1, &["known sections:"]);
    layers(&format!("{CONV}{}", net(CONV))).says(1, &["a second [net]"]);
}

#[test]
fn a_comment_behind_a_section_name_is_a_warning() {
    layers(&format!("{CONV}[maxpool]#x\nsize=2\nstride=2\n")).says(
        0,
        &[
            "warning:",
            "net.cfg:10:",
            "`#x` after the section name is ignored",
        ],
    );
    layers(&format!("{CONV}[maxpool \n")).says(1, &["does not end in ]"]);
}

#[test]
fn a_key_without_value_is_an_error() {
    inspect(net(CONV).replace("width=32", "width="))
        .says(1, &["net.cfg:2:", "key `width` has no value"]);
    // Those for training alone are no loss.
    inspect(net(CONV).replace("width=32", "steps=\nwidth=32"))
        .says(0, &["warning:", "net.cfg:2:", "key `steps` has no value"]);
}

#[test]
fn a_line_without_equals_is_a_warning() {
    layers(&format!("{CONV}batch_normalize\n")).says(
        0,
        &["warning:", "net.cfg:10:", "`batch_normalize` has no `=`"],
    );
}

#[test]
fn of_duplicate_keys_the_first_counts() {
    let ran = layers(&format!("{CONV}filters=9\n"));
    ran.says(0, &["net.cfg:10:", "line 6 counts, line 10 is ignored"]);
    assert!(ran.out.contains("32 x 32 x 4"), "{}", ran.out);
}

#[test]
fn an_unknown_key_is_a_warning_and_a_training_key_is_none() {
    layers(&format!("{CONV}dilations=2\n")).says(
        0,
        &[
            "net.cfg:10:",
            "unknown key `dilations`",
            "did you mean `dilation`?",
        ],
    );
    layers(&format!(
        "{CONV}burnin_update=2\nlearning_rate=1\nstopbackward=1\n"
    ))
    .is_fine();
}

#[test]
fn lines_may_end_with_crlf() {
    inspect(net(CONV).replace('\n', "\r\n")).is_fine();
}

#[test]
fn lines_may_end_with_cr_alone() {
    inspect(net(CONV).replace('\n', "\r")).is_fine();
    inspect(net(&CONV.replace("filters=4", "filters=x")).replace('\n', "\r"))
        .says(1, &["net.cfg:6:", "`filters=x`"]);
}

#[test]
fn a_byte_order_mark_is_skipped() {
    inspect(format!("\u{feff}{}", net(CONV))).is_fine();
}

#[test]
fn binary_data_and_utf_16_are_errors() {
    let wide: Vec<u8> = net(CONV).bytes().flat_map(|b| [b, 0]).collect();
    inspect([&b"\xff\xfe"[..], &wide].concat()).says(1, &["UTF-16"]);
    inspect(&wide).says(1, &["binary data"]);
    inspect((0..=255u8).cycle().take(5000).collect::<Vec<u8>>()).says(1, &["binary data"]);
}

#[test]
fn the_final_newline_may_be_missing() {
    inspect(net(CONV).trim_end()).is_fine();
}

#[test]
fn a_value_ends_at_a_hash() {
    let ran = inspect(net(&CONV.replace("filters=4", "filters = 8 # not 4")));
    ran.is_fine();
    assert!(ran.out.contains("32 x 32 x 8"), "{}", ran.out);
    layers(&format!("{CONV}[route]\nlayers=0#9\n")).is_fine();
}

#[test]
fn endless_lines_sections_keys_and_lists_end_at_limits() {
    layers(&format!(
        "{CONV}[route]\nlayers={}\n",
        "-1,".repeat(400_000)
    ))
    .says(1, &["net.cfg:11:", "a line of 1200007 bytes"]);
    layers(&"[convolutional]\n".repeat(1_000_000)).says(1, &["more than 10000 sections"]);
    layers(&"[a]\n".repeat(1_000_000)).says(1, &["[a]", "there are more errors"]);
    // The same for keys, mistakes and lists.
    let keys: String = (0..300_000).map(|i| format!("k{i}=1\n")).collect();
    layers(&format!("{CONV}{keys}")).says(1, &["more than 1000 keys", "there are more warnings"]);
    layers(&"x\n".repeat(2_000_000)).says(1, &["there are more warnings"]);
    layers(&format!(
        "{CONV}[route]\nlayers={}\n",
        "-1,".repeat(300_000)
    ))
    .says(1, &["more than 4096 entries"]);
    layers(&format!("{CONV}filters={}\n", "9".repeat(1_000_000))).says(0, &["given twice"]);
    let ran = layers(&format!("[{}]\n", "9".repeat(1_000_000)));
    ran.says(1, &["unknown section"]);
    assert!(ran.err.len() < 5000, "{} bytes", ran.err.len());
    let huge = Folder::new().with("net.cfg", vec![b'#'; (16 << 20) + 1]);
    huge.run(&["inspect", "net.cfg"])
        .says(1, &["no cfg is that large"]);
}

#[test]
fn all_mistakes_are_reported_in_one_run() {
    let ran =
        layers("[convolutional]\nfilters=x\n[maxpool]\nstride=0\n[upsampel]\n[route]\nlayers=9\n");
    ran.says(
        1,
        &[
            "net.cfg:6:",
            "net.cfg:8:",
            "net.cfg:9:",
            "net.cfg:11:",
            "4 problem(s)",
        ],
    );
    assert_eq!(ran.err.matches("help:").count(), 4, "{}", ran.err);
}
