//! Fuzzes the plan reader with any text, and the code generator with any plan that passes its check.

use tessera_codegen::EmitOptions;
use tessera_plan::{check, graph::Darknet, plan::Plan};
use tessera_plan_text::PlanText;
use tessera_planner::{
    cfg, make,
    model::Model,
    options::{PlanOptions, Target},
    weights,
};

/// A small network with a branch.
const SMALL: &str = "[net]\nwidth=8\nheight=8\nchannels=2\n\
    [convolutional]\nfilters=8\nsize=3\nstride=1\npad=1\nactivation=leaky\n\
    [maxpool]\nsize=2\nstride=2\n\
    [route]\nlayers=-1\n\
    [upsample]\nstride=2\n\
    [route]\nlayers=-1,0\n\
    [convolutional]\nfilters=4\nsize=1\nstride=1\nactivation=linear\n";

/// A network with every kind of operation.
const EVERY_KIND: &str = include_str!("../../../codegen/tests/every_kind.cfg");

/// The network of [`plan`], without weights.
///
/// # Panics
/// If the front end refuses the network.
pub fn small_model() -> Model {
    model(SMALL, "small")
}

fn model(cfg: &str, name: &str) -> Model {
    let (graph, _) = cfg::read(cfg.as_bytes(), name, Darknet::Alexey);
    weights::without(graph.expect("a network"))
}

/// A plan of [`small_model`].
///
/// # Panics
/// If the planner makes no plan.
pub fn small_plan(grid: [usize; 2], cuts: &[usize], target: Target) -> Plan {
    plan_of(&small_model(), grid, cuts, target)
}

fn plan_of(model: &Model, grid: [usize; 2], cuts: &[usize], target: Target) -> Plan {
    let options = PlanOptions {
        grids: vec![grid],
        cuts: cuts.to_vec(),
        command: "cargo xtask plan".into(),
        ..PlanOptions::default().on(target)
    };
    make::plan(model, &options).expect("a plan")
}

/// Checks that a text is a plan or is refused with a reason, and that a plan that passes its check (without
/// the check of its hash) is emitted or refused with a reason. Bytes that begin with 0 are edits of a real
/// plan instead of a text.
///
/// # Panics
/// If a rule is broken.
pub fn plan(bytes: &[u8]) {
    if let [0, edits @ ..] = bytes {
        if let Some(plan) = edited(edits) {
            emitted(&plan);
        }
        return;
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match Plan::from_toml(text) {
        Ok(plan) => {
            let again = Plan::from_toml(&plan.to_toml()).expect("a plan is read back");
            assert_eq!(plan, again);
        }
        Err(e) => assert!(!e.to_string().is_empty()),
    }
    if let Ok(plan) = toml::from_str::<Plan>(text) {
        emitted(&plan);
    }
}

fn emitted(plan: &Plan) {
    if check::check(plan).is_err() {
        return;
    }
    let options = EmitOptions {
        runtime_path: "../../runtime".into(),
    };
    for target in plan.target.keys() {
        if let Err(e) = tessera_codegen::emit(plan, target, &options) {
            assert!(!e.to_string().is_empty());
        }
    }
}

/// An edited real plan. The bytes: one that selects the plan, then per edit two of place, one of kind, one of
/// value.
fn edited(bytes: &[u8]) -> Option<Plan> {
    let (&which, mut rest) = bytes.split_first()?;
    let (grid, cuts): ([usize; 2], &[usize]) = match which % 4 {
        0 => ([1, 1], &[6]),
        1 => ([2, 2], &[2]),
        2 => ([2, 1], &[2, 4]),
        _ => ([2, 2], &[1]),
    };
    let targets = [Target::Portable, Target::X86_64V3];
    let target = targets[usize::from(which >> 2) % 2];
    let model = if which >> 3 & 1 == 0 {
        small_model()
    } else {
        model(EVERY_KIND, "every-kind")
    };
    let plan = plan_of(&model, grid, cuts, target);
    let mut tree = toml::Value::try_from(plan).ok()?;
    for _ in 0..EDITS {
        let Some((&[lo, hi, kind, value], tail)) = rest.split_first_chunk::<4>() else {
            break;
        };
        rest = tail;
        let mut leaves = Vec::new();
        collect(&mut tree, &mut leaves);
        let place = usize::from(u16::from_le_bytes([lo, hi])) % leaves.len();
        edit(leaves.swap_remove(place), kind, value);
    }
    tree.try_into().ok()
}

/// Most edits of one input.
const EDITS: usize = 12;

/// Collects all values that edits can change, in order.
fn collect<'a>(v: &'a mut toml::Value, leaves: &mut Vec<&'a mut toml::Value>) {
    let nested = |v: &toml::Value| v.is_table() || v.is_array();
    if !v.is_table() && !v.as_array().is_some_and(|a| a.iter().any(nested)) {
        leaves.push(v);
        return;
    }
    match v {
        toml::Value::Array(items) => items.iter_mut().for_each(|i| collect(i, leaves)),
        toml::Value::Table(t) => t.iter_mut().for_each(|(_, i)| collect(i, leaves)),
        _ => {}
    }
}

fn edit(leaf: &mut toml::Value, kind: u8, value: u8) {
    let n = i64::from(value);
    match leaf {
        toml::Value::Integer(i) => {
            *i = match kind % 8 {
                0 => n,
                1 => i.wrapping_add(n),
                2 => i.wrapping_sub(n),
                3 => i.wrapping_mul(n),
                4 => 1 << (n % 63),
                5 => (1 << (n % 63)) - 1,
                6 => n * 16,
                _ => n * 1024,
            }
        }
        toml::Value::Boolean(b) => *b = !*b,
        toml::Value::String(s) => {
            *s = match kind % 4 {
                0 => String::new(),
                1 => char::from(value).to_string(),
                2 => format!("{s}{}", char::from(value)),
                _ => "../x \"y\" {z} // \n".into(),
            }
        }
        toml::Value::Array(items) => match kind % 3 {
            0 => drop(items.pop()),
            1 => items.extend(items.first().cloned()),
            _ => items.reverse(),
        },
        _ => {}
    }
}
