//! `inspect` and `plan` on shipped networks.

use tessera_plan::plan::Plan;
use tessera_plan_text::PlanText;

use crate::rig::Folder;

#[test]
fn inspect_counts_the_real_networks() {
    let folder = Folder::new();
    for (name, floats) in [
        ("yolov2", "50,983,561"),
        ("yolov2-tiny.cfg", "11,237,145"),
        ("yolov3", "62,001,757"),
        ("yolov3-tiny.cfg", "8,858,734"),
        ("yolov4-tiny", "6,062,814"),
        ("darknet19.cfg", "20,856,776"),
    ] {
        let ran = folder.run(&["inspect", name]);
        ran.is_fine();
        assert!(ran.out.contains(floats), "{}", ran.out);
    }
    let ran = folder.run(&["inspect", "yolov2.cfg", "--json"]);
    ran.is_fine();
    let table: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(table["weights"], 50_983_561);
    assert_eq!(table["layers"].as_array().unwrap().len(), 32);
    assert_eq!(
        table["layers"][16]["output"],
        serde_json::json!([38, 38, 512])
    );
}

#[test]
fn plan_works_as_typed() {
    let folder = Folder::new();
    let typed = [
        "plan",
        "--model",
        "yolov2.cfg",
        "--grid",
        "5x5",
        "--dry-run",
    ];
    let ran = folder.run(&typed);
    ran.is_fine();
    for words in [
        "plan yolov2-5x5-",
        "redundancy",
        "memory per node",
        "chosen: 5x5",
    ] {
        assert!(ran.out.contains(words), "{words}: {}", ran.out);
    }
    // Twice the same, and the same for machines.
    let json = [&typed[..], &["--json"]].concat();
    let (a, b) = (folder.run(&json), folder.run(&json));
    assert!(a.out == b.out);
    let plan: Plan = serde_json::from_str(&a.out).unwrap();
    tessera_plan::check::check(&plan).unwrap();
    assert_eq!(plan.dataflow.stages[0].grid, [5, 5]);
    assert_eq!(plan.hash, plan.content_hash());
}

#[test]
fn refusals_name_what_works() {
    let folder = Folder::new();
    let plan = |flags: &[&str]| {
        let base = ["plan", "--model", "yolov2", "--dry-run"];
        folder.run(&[&base, flags].concat())
    };
    plan(&["--grid", "50x5", "--offload", "16"]).says(1, &["38x5"]);
    plan(&["--grid", "12x5", "--offload", "16", "--split", "equal"]).says(1, &["10 or 13 work"]);
    plan(&["--grid", "0x5", "--offload", "16"]).says(1, &["1x5"]);
    plan(&["--grid", "5by5"]).says(1, &["5x5"]);
    let words = "plan --model darknet19 --dry-run --offload 26 --grid 2x2";
    let ran = folder.run(&words.split(' ').collect::<Vec<_>>());
    ran.says(1, &["layer 24 [avgpool]", "grid 1x1", "stages at layer 24"]);
    plan(&["--cuts", "8,4", "--grid", "2x2"]).says(1, &["cuts must rise"]);
    plan(&["--cuts", "4,8", "--grid", "2x2,3x3,4x4"]).says(1, &["3 grids for 2 stages"]);
    plan(&["--memory", "1MiB"]).says(1, &["the smallest one needs"]);
    plan(&["--memory", "much"]).says(1, &["64MiB"]);
    plan(&["--target", "z80"]).says(1, &["armv7"]);
    // Wrong usage is clap's: it says how the command is used.
    let ran = plan(&["--cuts", "4,8", "--offload", "8"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("cannot be used with"), "{}", ran.err);
    folder
        .run(&["inspect", "yolov9000"])
        .says(1, &["there is no cfg yolov9000", "yolov2.cfg"]);
}
