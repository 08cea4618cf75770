//! Winograd kernels against a convolution in double precision.

use std::{collections::BTreeSet, fmt::Write as _};

use tessera_codegen::kernel;
use tessera_plan::{
    graph::Activation,
    kernel::{
        BlockSize, menu, takes_winograd, vector,
        winograd::{GAP, Sizes},
    },
    plan::{Algorithm, ConvKernel, Isa},
};

/// What runs inside the emitted crate.
const ORACLE: &str = include_str!("winograd_oracle.rs");

const STRIP: &str = include_str!("../../../runtime/src/strip.rs");

/// Which of the blocks that Winograd kernels take.
#[derive(Clone, Copy)]
enum Width {
    Wide,
    Middle,
    Narrow,
}

fn block(isa: Isa, width: Width) -> BlockSize {
    let taken: Vec<BlockSize> = menu(isa)
        .iter()
        .copied()
        .filter(|b| takes_winograd(isa, b.nr))
        .collect();
    let last = taken.len() - 1;
    match width {
        Width::Wide => taken[0],
        Width::Middle => taken[last / 2],
        Width::Narrow => taken[last],
    }
}

/// Every tile, with one and several parts of the input channels, equal and not; full and partial
/// blocks of output channels.
pub fn matrix(isa: Isa) -> BTreeSet<(ConvKernel, usize)> {
    use Width::{Middle, Narrow, Wide};
    let mut set = BTreeSet::new();
    for m in [2, 4, 6] {
        for (cin, depth, cout, width, activation) in [
            (8, 8, 16, Wide, Activation::Leaky),
            (24, 24, 37, Wide, Activation::Linear),
            (32, 16, 5, Narrow, Activation::Relu),
            (40, 16, 24, Narrow, Activation::Leaky),
            (64, 64, 11, Wide, Activation::Relu6),
            (8, 8, 19, Wide, Activation::Mish),
            (8, 8, 6, Narrow, Activation::Swish),
            (8, 8, 17, Narrow, Activation::Logistic),
            (8, 8, 8, Narrow, Activation::Tanh),
            (16, 8, 29, Middle, Activation::Leaky),
        ] {
            let by = vector(isa) / 8;
            let (cin, depth) = (by * cin, by * depth);
            let BlockSize { nr, mr_max: mr } = block(isa, width);
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
pub fn main_rs(kernels: &BTreeSet<(ConvKernel, usize)>, isa: Isa, math: bool) -> String {
    let mut s = super::begin(math, ORACLE);
    // Kernels name the runtime's strips; the file is all they need of it.
    writeln!(
        s,
        "extern crate self as tessera_runtime;\npub mod strip {{\n{STRIP}}}"
    )
    .expect("text");
    s.push_str("\nconst CASES: &[Case] = &[\n");
    for (k, channels) in kernels {
        let name = kernel::name(k, isa, *channels);
        let Some(sizes) = Sizes::new(k) else { continue };
        // The input's transform stands with the first block of channels.
        let input = kernel::name(k, isa, k.nr.min(k.y_stride));
        writeln!(
            s,
            "Case {{ name: {name:?}, m: {}, cin: {}, x_stride: {}, y_stride: {}, nr: {}, lanes: {channels}, activation: {:?}, side: {}, \
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
