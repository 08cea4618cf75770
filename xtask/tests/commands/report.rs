//! `report`: what other commands made comes onto the plan's page.

use crate::rig::Folder;

#[test]
fn what_simulate_bench_and_paper_made_is_on_the_page() {
    let folder = Folder::new();
    let made = folder.run(&[
        "plan",
        "--model",
        "yolov2",
        "--edges",
        "2",
        "--grid",
        "3x3",
        "--offload",
        "8",
        "--out",
        "six",
    ]);
    made.says(0, &[]);
    let plan = "six/plan.toml";
    let run = ["simulate", plan, "--frames", "2", "--loss", "1", "--svg"];
    for svg in ["one.svg", "two.svg"] {
        folder.run(&[&run[..], &[svg]].concat()).says(0, &[svg]);
    }
    let measured = r#"[{"plan": "p", "threads": 1, "frames": 3, "layers": [],
        "parts": [{"part": "tail", "min_s": 0.25, "median_s": 0.5, "gflops": 2.0}]}]"#;
    let folder = folder
        .with("bench.json", measured)
        .with("none.svg", "no drawing")
        .with("none.json", "{}");
    let figures = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/evaluation");
    let report = ["report", plan, "--html", "page.html"];
    let with = |more: &[&str]| folder.run(&[&report[..], more].concat());
    with(&[
        "--simulated",
        "one.svg",
        "two.svg",
        "--bench",
        "bench.json",
        "--figures",
        figures,
    ])
    .says(0, &["page.html"]);
    let page = std::fs::read_to_string(folder.at("page.html")).unwrap();
    let drawings = std::fs::read_dir(figures).unwrap();
    let drawings = drawings.filter(|e| {
        let path = e.as_ref().unwrap().path();
        path.extension().is_some_and(|e| e == "svg")
    });
    let data = page.matches("src=\"data:image/svg+xml,%3Csvg").count();
    assert_eq!(data, 2 + drawings.count());
    for text in [
        "Runs in virtual time",
        "Course of ",
        "500.00 ms",
        "(Figure 15)",
    ] {
        assert!(page.contains(text), "{text}");
    }
    with(&["--simulated", "none.svg"]).says(1, &["none.svg: this is no SVG drawing", "help: "]);
    with(&["--bench", "none.json"]).says(1, &["none.json: this is no measurement", "help: "]);
    with(&["--figures", "six"]).says(1, &["--figures six: 0 drawings"]);
    with(&["--figures", "nowhere"]).says(1, &["--figures nowhere"]);
}
