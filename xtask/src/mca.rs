//! `cargo xtask mca`: prints the cycles of ARM kernels' inner loops in LLVM's models of cores.
//!
//! The command cuts the loop with the most multiply-adds out of a kernel's assembly (armv7: the emitted file;
//! aarch64: rustc's output for the emitted module). `llvm-mca` simulates the loop and assumes that all loads hit
//! the first-level cache. LLVM has no model of a cortex-a53 in 32-bit mode, and LLVM's model of a cortex-a72 in
//! that mode starts two multiply-adds of four lanes per cycle, which the core does not. The command therefore
//! rewrites armv7 loops with the 64-bit instructions that the same units execute.

use std::{
    collections::BTreeSet,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use tessera_codegen::{emit_kernels, kernel};
use tessera_plan::{
    graph::Activation,
    plan::{Algorithm, ConvKernel, Isa},
};

use crate::{children, out::outln};

/// Cores and the names of their models.
const CORES: [&str; 2] = ["cortex-a53", "cortex-a72"];
/// Number of iterations that `llvm-mca` simulates.
const ITERATIONS: usize = 100;

/// Prints a table of cycles per kernel and core.
///
/// # Errors
/// When `llvm-mca` or rustc is missing or does not understand a loop.
pub fn run() -> Result<()> {
    outln!("| kernel | core | multiply-adds | instructions | cycles | cycles each | of peak |")?;
    outln!("|---|---|---|---|---|---|---|")?;
    for (isa, target) in [(Isa::Aarch64, "aarch64"), (Isa::Armv7, "armv7")] {
        for k in kernels(isa) {
            let name = kernel::name(&k, isa, k.nr);
            let body = inner_loop(&assembly(&k, isa, target)?);
            let fmas = body.iter().filter(|l| is_fma(l)).count();
            ensure!(fmas > 0, "{name} has no loop with multiply-adds");
            for core in CORES {
                let cycles = cycles(&body, isa, core).with_context(|| name.clone())?;
                let each = cycles / fmas as f64;
                outln!(
                    "| {name} | {core} | {fmas} | {} | {cycles:.1} | {each:.2} | {:.0} % |",
                    body.len(),
                    100.0 / each
                )?;
            }
        }
    }
    Ok(())
}

/// The simulated kernels: 3x3 with 64 -> 128 channels and 1x1 with 128 -> 64, both with leaky activation.
fn kernels(isa: Isa) -> [ConvKernel; 2] {
    let (mr, nr) = if isa == Isa::Armv7 { (4, 8) } else { (5, 16) };
    let one = ConvKernel {
        size: 1,
        stride_x: 1,
        dilation: 1,
        cin: 128,
        x_stride: 128,
        y_stride: 64,
        mr,
        nr,
        activation: Activation::Leaky,
        depthwise: false,
        pool: false,
        algorithm: Algorithm::Direct,
    };
    let three = ConvKernel {
        size: 3,
        cin: 64,
        x_stride: 64,
        y_stride: 128,
        ..one.clone()
    };
    [three, one]
}

/// A kernel's assembly.
fn assembly(k: &ConvKernel, isa: Isa, target: &str) -> Result<String> {
    if let [(_, text)] = kernel::assembly(k, isa, k.nr).as_slice() {
        return Ok(text.clone());
    }
    let set = BTreeSet::from([(k.clone(), k.nr)]);
    let files = emit_kernels(&set, isa, target, "")?.files;
    let name = kernel::name(k, isa, k.nr);
    let source = files.get(&format!("/{name}.rs")).context("no kernel")?;
    let dir = tempfile::tempdir()?;
    let (file, made) = (dir.path().join("kernel.rs"), dir.path().join("kernel.s"));
    std::fs::write(&file, source)?;
    compile(&file, &made)?;
    Ok(std::fs::read_to_string(&made)?)
}

fn compile(source: &Path, to: &Path) -> Result<()> {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc
        .args(["--edition=2024", "--crate-type=lib", "--emit=asm", "-O"])
        .args(["-Cpanic=abort", "--target=aarch64-unknown-linux-gnu", "-o"])
        .args([to, source]);
    let status = children::status(&mut rustc).context("cannot start rustc")?;
    ensure!(status.success(), "rustc refuses an emitted kernel");
    Ok(())
}

/// The instructions of the innermost loop with the most multiply-adds: from a label to the first jump
/// back to it, with no label between.
fn inner_loop(text: &str) -> Vec<String> {
    let mut best = Vec::new();
    let (mut label, mut body) = (String::new(), Vec::new());
    for line in text.lines().map(str::trim) {
        let code = line.split('@').next().unwrap_or_default().trim();
        if let Some(name) = code.strip_suffix(':') {
            label = name.to_owned();
            body.clear();
        } else if !code.is_empty() && !code.starts_with('.') {
            body.push(code.replace('\t', " "));
            let to = code.split_whitespace().nth(1).unwrap_or_default();
            let back = to == label || to == format!("{label}b");
            let fmas = |b: &[String]| b.iter().filter(|l| is_fma(l)).count();
            if code.starts_with('b') && back && fmas(&body) > fmas(&best) {
                best.clone_from(&body);
                best.pop();
            }
        }
    }
    best
}

fn is_fma(line: &str) -> bool {
    line.starts_with("fmla") || line.starts_with("vmla")
}

/// Cycles of one iteration of a loop, without the jump, which the core predicts.
fn cycles(body: &[String], isa: Isa, core: &str) -> Result<f64> {
    let text: Vec<String> = if isa == Isa::Armv7 {
        body.iter().map(|l| as_64_bit(l)).collect::<Option<_>>()
    } else {
        Some(body.to_vec())
    }
    .context("an instruction without a 64-bit form")?;
    let mut llvm_mca = Command::new("llvm-mca");
    llvm_mca
        .args([
            "-mtriple=aarch64-linux-gnu",
            "-mcpu",
            core,
            "-instruction-info=0",
        ])
        .args(["-resource-pressure=0", &format!("-iterations={ITERATIONS}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = children::spawn(&mut llvm_mca)
        .context("cannot start llvm-mca (Debian: apt install llvm)")?;
    let mut input = child.stdin.take().context("a pipe")?;
    input.write_all((text.join("\n") + "\n").as_bytes())?;
    drop(input);
    let out = child.output()?;
    let said = String::from_utf8_lossy(&out.stdout);
    let total: f64 = said
        .lines()
        .find_map(|l| l.strip_prefix("Total Cycles:")?.trim().parse().ok())
        .context("llvm-mca gives no cycles")?;
    Ok(total / ITERATIONS as f64)
}

/// An instruction of an armv7 loop as its equal of the 64-bit set.
fn as_64_bit(line: &str) -> Option<String> {
    let (op, rest) = line.split_once(' ')?;
    Some(match op {
        "vmla.f32" => {
            let mut args = rest.split(", ");
            let (sum, w, x) = (args.next()?, args.next()?, args.next()?);
            let (d, lane) = x.strip_prefix('d')?.strip_suffix(']')?.split_once('[')?;
            let (d, lane): (usize, usize) = (d.parse().ok()?, lane.parse().ok()?);
            let (sum, w) = (sum.replace('q', "v"), w.replace('q', "v"));
            format!(
                "fmla {sum}.4s, {w}.4s, v{}.s[{}]",
                d / 2,
                2 * (d % 2) + lane
            )
        }
        "vld1.32" => {
            let (list, from) = rest.strip_prefix("{d")?.split_once("}, [r")?;
            let (first, last) = list.split_once("-d")?;
            let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
            let list: Vec<String> = (first / 2..=last / 2).map(|q| format!("v{q}.4s")).collect();
            let from = from.strip_suffix("]!")?;
            format!(
                "ld1 {{{}}}, [x{from}], #{}",
                list.join(", "),
                16 * list.len()
            )
        }
        "pld" => format!("prfm pldl1keep, {}", rest.replace("[r", "[x")),
        _ => format!("{op} {}", rest.replace('r', "x")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn armv7_loops_have_64_bit_equals() {
        for (armv7, aarch64) in [
            ("vmla.f32 q8, q4, d3[1]", "fmla v8.4s, v4.4s, v1.s[3]"),
            ("vld1.32 {d8-d11}, [r8]!", "ld1 {v4.4s, v5.4s}, [x8], #32"),
            ("vld1.32 {d0-d1}, [r4]!", "ld1 {v0.4s}, [x4], #16"),
            ("pld [r8, #192]", "prfm pldl1keep, [x8, #192]"),
            ("subs r9, r9, #1", "subs x9, x9, #1"),
        ] {
            assert_eq!(as_64_bit(armv7).as_deref(), Some(aarch64));
        }
        for k in kernels(Isa::Armv7) {
            let body = inner_loop(&kernel::assembly(&k, Isa::Armv7, k.nr)[0].1);
            assert!(body.iter().all(|l| as_64_bit(l).is_some()), "{body:?}");
            assert_eq!(body.iter().filter(|l| is_fma(l)).count(), 64);
        }
    }
}
