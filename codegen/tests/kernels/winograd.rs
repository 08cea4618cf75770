//! Winograd kernels against a convolution in double precision.

use std::{collections::BTreeSet, fmt::Write as _};

use tessera_codegen::kernel;
use tessera_needs::needs;
use tessera_plan::{
    graph::Activation,
    kernel::{
        vector,
        winograd::{GAP, Sizes},
    },
    plan::{Algorithm, ConvKernel, Isa},
};
use tessera_planner::options::Target;

/// What runs inside the emitted crate.
const ORACLE: &str = include_str!("winograd_oracle.rs");

const STRIP: &str = include_str!("../../../runtime/src/strip.rs");

/// Every tile, with one and several parts of the input channels, equal and not; full and partial
/// blocks of output channels.
fn matrix(isa: Isa) -> BTreeSet<(ConvKernel, usize)> {
    let mut set = BTreeSet::new();
    for m in [2, 4, 6] {
        for (cin, depth, cout, nr, activation) in [
            (8, 8, 16, 16, Activation::Leaky),
            (24, 24, 37, 16, Activation::Linear),
            (32, 16, 5, 8, Activation::Relu),
            (40, 16, 24, 8, Activation::Leaky),
            (64, 64, 11, 16, Activation::Relu6),
            (8, 8, 19, 16, Activation::Mish),
            (8, 8, 6, 8, Activation::Swish),
            (8, 8, 17, 8, Activation::Logistic),
            (8, 8, 8, 8, Activation::Tanh),
        ] {
            let by = vector(isa) / 8;
            let (cin, depth) = (by * cin, by * depth);
            let (mr, nr) = match (isa, nr) {
                (Isa::Armv7, _) => (4, 8),
                (Isa::X86_64V4, 8) => (12, 16),
                (Isa::X86_64V4, _) => (8, 32),
                (Isa::Aarch64, 8) => (8, 8),
                (Isa::Aarch64, _) => (5, nr),
                (_, 8) => (12, nr),
                _ => (6, nr),
            };
            let k = ConvKernel {
                size: 3,
                stride_x: 1,
                dilation: 1,
                cin,
                // Others' channels lie beside a slice's.
                x_stride: if cout == 24 { cin + 5 } else { cin },
                y_stride: cout,
                mr,
                nr,
                activation,
                depthwise: false,
                // Full and partial blocks, one part and several.
                pool: matches!(
                    (cin / by, activation),
                    (24 | 40 | 64, _) | (_, Activation::Relu)
                ),
                algorithm: Algorithm::Winograd {
                    m,
                    depth,
                    stored: false,
                },
            };
            if cout >= nr {
                set.insert((k.clone(), nr));
            }
            if cout % nr > 0 {
                set.insert((k, cout % nr));
            }
        }
    }
    set
}

/// `main.rs` of the crate: the oracle and a table of kernels.
fn main_rs(kernels: &BTreeSet<(ConvKernel, usize)>, isa: Isa, math: bool) -> String {
    let mut s = super::begin(math, ORACLE);
    // Kernels name the runtime's strips; the file is all they need of it.
    writeln!(
        s,
        "extern crate self as tessera_runtime;\npub mod strip {{\n{STRIP}}}"
    )
    .expect("text");
    s.push_str("\nconst CASES: &[Case] = &[\n");
    for (k, lanes) in kernels {
        let name = kernel::name(k, isa, *lanes);
        let Some(sizes) = Sizes::new(k) else { continue };
        // The input's transform stands with the first block of channels.
        let input = kernel::name(k, isa, k.nr.min(k.y_stride));
        writeln!(
            s,
            "Case {{ name: {name:?}, m: {}, cin: {}, x_stride: {}, y_stride: {}, nr: {}, lanes: {lanes}, activation: {:?}, side: {}, \
             depth: {}, planes: {}, gap: {}, u: {}, product: {}, \
             input: |x, t, v, c| kernels::{input}::input(x, t.try_into().unwrap(), v, c), \
             channels: kernels::{name}::channels }},",
            sizes.m,
            k.cin,
            k.x_stride,
            k.y_stride,
            k.nr,
            k.activation.name(),
            k.side(),
            sizes.depth,
            sizes.points() * sizes.parts(),
            GAP,
            sizes.u(),
            sizes.products(1),
        )
        .expect("a string takes all text");
    }
    s.push_str("];\n");
    s
}

fn check(isa: Isa, target: Target) {
    super::run("winograd", &matrix(isa), isa, target, main_rs);
}

#[test]
fn portable_winograd_convolves() {
    check(Isa::Portable, Target::Portable);
}

#[needs(x86_64v3)]
#[test]
fn avx2_winograd_convolves() {
    check(Isa::X86_64V3, Target::X86_64V3);
}

#[needs(x86_64v4)]
#[test]
fn avx512_winograd_convolves() {
    check(Isa::X86_64V4, Target::X86_64V4);
}

#[needs(aarch64)]
#[test]
fn aarch64_winograd_convolves() {
    check(Isa::Aarch64, Target::Aarch64);
}

#[needs(armv7)]
#[test]
fn armv7_winograd_convolves() {
    check(Isa::Armv7, Target::Armv7);
}
