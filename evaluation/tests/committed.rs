//! The committed figures against this program: those that are made soon.
#![forbid(unsafe_code)]

use std::{collections::BTreeSet, error::Error, path::Path};

use sha2::{Digest as _, Sha256};
use tessera_evaluation::{
    cell::Results,
    figures::{self, FIGURES, Figure},
};
use tessera_plan::graph::Darknet;
use tessera_planner::{cfg, model::Model, weights};

type Done = Result<(), Box<dyn Error>>;

/// Figures of few cases.
const SOON: [&str; 2] = ["figure11", "failures"];

fn yolov2() -> Result<Model, Box<dyn Error>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/yolov2.cfg");
    let graph = cfg::read(&std::fs::read(file)?, "yolov2", Darknet::Alexey).0;
    Ok(weights::without(graph.ok_or("no graph")?))
}

#[test]
fn figures_are_those_that_the_program_makes() -> Done {
    let model = yolov2()?;
    let soon = FIGURES.iter().filter(|f| SOON.contains(&f.key));
    let soon: Vec<&Figure> = soon.collect();
    let cells = figures::cases(&soon)?.into_iter().map(|c| c.run(&model));
    let results: Results = cells.collect::<Result<Vec<_>, _>>()?.into_iter().collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/evaluation");
    for (name, text) in figures::drawn(&soon, &model, &results)? {
        let committed = std::fs::read_to_string(folder.join(&name))?;
        assert!(
            committed == text,
            "{name} is not what the program makes: cargo xtask paper makes it anew"
        );
    }
    Ok(())
}

/// Every table and drawing is of the run that is named beside them.
#[test]
fn the_run_of_all_files_is_recorded() -> Done {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/evaluation");
    let text = std::fs::read_to_string(folder.join("run.json"))?;
    let run: serde_json::Value = serde_json::from_str(&text)?;
    let page = std::fs::read_to_string(folder.join("README.md"))?;
    let made = run["made"].as_str().ok_or("no sentence")?;
    assert!(page.lines().any(|l| l == made), "{made}");
    let mut named = BTreeSet::new();
    for file in run["files"].as_array().ok_or("no files")? {
        let name = file["name"].as_str().ok_or("no name")?;
        let digest = Sha256::digest(std::fs::read(folder.join(name))?);
        let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(file["sha256"].as_str(), Some(hex.as_str()), "{name}");
        named.insert(name.to_owned());
    }
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().into_string().map_err(|_| "a name")?;
        let data = name.ends_with(".csv") || name.ends_with(".svg");
        assert!(!data || named.contains(&name), "{name} is of no run");
    }
    Ok(())
}

#[test]
fn cases_have_names_of_their_own_and_figures_too() -> Done {
    let keys: BTreeSet<&str> = FIGURES.iter().map(|f| f.key).collect();
    assert_eq!(keys.len(), FIGURES.len());
    let all: Vec<&Figure> = FIGURES.iter().collect();
    let mut known: Vec<tessera_evaluation::case::Case> = Vec::new();
    // One name, one content: figures share cases by their names.
    for case in all
        .iter()
        .map(|f| (f.cases)())
        .collect::<Result<Vec<_>, _>>()?
        .concat()
    {
        if let Some(same) = known.iter().find(|c| c.name == case.name) {
            assert_eq!(format!("{same:?}"), format!("{case:?}"));
        } else {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
            assert!(case.name.chars().all(plain), "{}", case.name);
            known.push(case);
        }
    }
    assert_eq!(figures::cases(&all)?.len(), known.len());
    Ok(())
}

#[test]
fn a_figure_without_its_cases_is_an_error_and_no_panic() -> Done {
    let model = yolov2()?;
    let needs = |f: &&Figure| (f.cases)().is_ok_and(|c| !c.is_empty());
    for figure in FIGURES.iter().filter(needs) {
        assert!(figures::drawn(&[figure], &model, &Results::default()).is_err());
    }
    Ok(())
}
