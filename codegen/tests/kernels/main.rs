//! Every kernel against a scalar oracle in double precision: a crate with many kernels is emitted,
//! built and run once per instruction set.

use std::{collections::BTreeSet, fmt::Write as _, path::PathBuf, process::Command};

use tessera_codegen::{emit_kernels, emit_math, kernel, write_files};
use tessera_needs::needs;
use tessera_plan::{
    graph::Activation,
    plan::{Algorithm, ConvKernel, Isa},
};
use tessera_planner::options::Target;

mod winograd;

/// What runs inside the emitted crate.
const ORACLE: &str = include_str!("oracle.rs");
const VALUES: &str = include_str!("values.rs");

/// Number of kernels beside the chosen ones.
const DRAWN: usize = 110;

const ACTIVATIONS: [Activation; 10] = [
    Activation::Linear,
    Activation::Relu,
    Activation::Relu6,
    Activation::Leaky,
    Activation::Relie,
    Activation::Ramp,
    Activation::Mish,
    Activation::Swish,
    Activation::Logistic,
    Activation::Tanh,
];

/// A fixed sequence of numbers (xorshift64).
struct Draw(u64);

impl Draw {
    fn from<T: Copy>(&mut self, list: &[T]) -> T {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        list[(self.0 >> 33) as usize % list.len()]
    }
}

/// Channels and pixels per block to draw from.
fn blocks(isa: Isa) -> &'static [(usize, &'static [usize])] {
    match isa {
        Isa::Armv7 => &[(8, &[1, 2, 3, 4, 4])],
        Isa::Aarch64 => &[
            (8, &[1, 2, 3, 5, 7, 8]),
            (12, &[1, 2, 4, 7]),
            (16, &[1, 2, 3, 4, 5, 5]),
        ],
        Isa::X86_64V4 => &[
            (8, &[1, 2, 5, 12]),
            (16, &[1, 3, 7, 12]),
            (32, &[1, 2, 3, 5, 6, 7, 8]),
        ],
        _ => &[
            (8, &[1, 2, 3, 5, 7, 8, 10, 12]),
            (16, &[1, 2, 3, 4, 5, 6, 6, 6]),
        ],
    }
}

/// Kernels of every kind, size, depth, block and activation, with their channels.
fn matrix(isa: Isa) -> BTreeSet<(ConvKernel, usize)> {
    let blocks = blocks(isa);
    let (widest, most) = *blocks.last().expect("a list");
    // One more number would change what the others' draws are.
    let couts: &[usize] = match isa {
        Isa::X86_64V4 => &[1, 5, 8, 16, 24, 37, 64, 75, 128],
        _ => &[1, 5, 8, 16, 24, 37, 64],
    };
    let mut draw = Draw(0x7e55_e7a0_0000_0001);
    let mut set = BTreeSet::new();
    let kernel = |size,
                  stride_x,
                  dilation,
                  cin,
                  more_in,
                  cout,
                  mr: usize,
                  nr,
                  activation: Activation,
                  depthwise,
                  pool| {
        let depth = if depthwise { 1 } else { cin };
        let k = ConvKernel {
            size,
            stride_x,
            dilation,
            cin: depth,
            x_stride: if depthwise { cout } else { cin + more_in },
            y_stride: cout,
            mr,
            nr,
            activation,
            depthwise,
            pool: pool && mr.is_multiple_of(2) && activation.is_in_registers(),
            algorithm: Algorithm::Direct,
        };
        let full = (k.clone(), nr);
        let rest = (cout % nr > 0).then_some((k, cout % nr));
        [(cout >= nr).then_some(full), rest].into_iter().flatten()
    };
    // What large networks consist of.
    for (size, stride, cin, cout) in [
        (3, 1, 3, 32),
        (3, 1, 64, 128),
        (1, 1, 128, 64),
        (3, 2, 32, 64),
        (1, 1, 64, 425),
    ] {
        for mr in BTreeSet::from_iter(most.iter().copied().filter(|m| *m >= 4)) {
            set.extend(kernel(
                size,
                stride,
                1,
                cin,
                0,
                cout,
                mr,
                widest,
                Activation::Leaky,
                false,
                cout == 32,
            ));
        }
    }
    while set.len() < DRAWN {
        let size = draw.from(&[1, 1, 3, 3, 3, 5, 7, 2]);
        let (nr, pixels) = draw.from(blocks);
        let depthwise = draw.from(&[false, false, true]);
        let mr = draw.from(pixels);
        set.extend(kernel(
            size,
            draw.from(&[1, 1, 1, 2, 2, 3]),
            draw.from(&[1, 1, 1, 2, 3]),
            draw.from(&[1, 3, 8, 17, 32]),
            // Other groups' channels lie beside.
            draw.from(&[0, 0, 5]),
            draw.from(couts),
            mr,
            nr,
            draw.from(&ACTIVATIONS),
            depthwise,
            draw.from(&[false, true]),
        ));
    }
    set
}

/// How a `main.rs` begins: the kernels, what all oracles use, and `oracle`.
fn begin(math: bool, oracle: &str) -> String {
    let math = if math { "mod math;\n" } else { "" };
    format!("mod kernels;\n{math}{VALUES}{oracle}")
}

/// `main.rs` of the crate: the oracle and a table of kernels.
fn main_rs(kernels: &BTreeSet<(ConvKernel, usize)>, isa: Isa, math: bool) -> String {
    let mut s = begin(math, ORACLE);
    s.push_str("\nconst CASES: &[Case] = &[\n");
    for (k, lanes) in kernels {
        let name = kernel::name(k, isa, *lanes);
        let ConvKernel {
            size,
            stride_x,
            dilation,
            cin,
            x_stride,
            y_stride,
            mr,
            nr,
            depthwise,
            ..
        } = k;
        writeln!(
            s,
            "Case {{ name: {name:?}, size: {size}, stride: {stride_x}, dilation: {dilation}, cin: {cin}, \
             x_stride: {x_stride}, y_stride: {y_stride}, mr: {mr}, nr: {nr}, lanes: {lanes}, \
             depthwise: {depthwise}, activation: {:?}, side: {}, \
             run: |x, t, w, y, n, {}| kernels::{name}(x, t.try_into().unwrap(), w, y, n{}) }},",
            k.activation.name(),
            k.side(),
            if k.pool { "s" } else { "_" },
            if k.pool { ", s" } else { "" }
        )
        .expect("a string takes all text");
    }
    s.push_str("];\n");
    s
}

fn check(isa: Isa, target: Target) {
    run("kernels", &matrix(isa), isa, target, main_rs);
}

/// Emits `kernels` and the program that `main_rs` makes of them, builds it and runs it.
fn run(
    name: &str,
    kernels: &BTreeSet<(ConvKernel, usize)>,
    isa: Isa,
    target: Target,
    main_rs: fn(&BTreeSet<(ConvKernel, usize)>, Isa, bool) -> String,
) {
    let (triple, target) = (target.triple(), target.name());
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{target}"));
    let mut files = emit_kernels(kernels, isa, target, "src/kernels").expect("kernels are emitted");
    let math = emit_math(&files, target).expect("math is emitted");
    let has_math = math.is_some();
    files.extend(math.map(|m| ("src/math.rs".to_owned(), m)));
    let main = main_rs(kernels, isa, has_math);
    files.insert("src/main.rs".into(), main.into_bytes());
    let manifest = "[package]\nname = \"kernels\"\nedition = \"2024\"\n[workspace]\n[profile.dev]\nopt-level = 1\ndebug = false\n";
    files.insert("Cargo.toml".into(), manifest.into());
    write_files(&dir, &files).expect("files are written");
    let out = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["run", "--quiet", "--offline", "--target", triple])
        .arg("--manifest-path")
        .arg(dir.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(dir.join("target"))
        .output()
        .expect("cargo starts");
    let (text, errors) = (
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr),
    );
    assert!(out.status.success(), "{text}\n{errors}");
    let want = format!("{} kernels agree", kernels.len());
    assert_eq!(text.trim(), want, "every kernel is compared");
}

#[test]
fn portable_kernels_compute_what_the_oracle_does() {
    check(Isa::Portable, Target::Portable);
}

#[needs(x86_64v3)]
#[test]
fn avx2_kernels_compute_what_the_oracle_does() {
    check(Isa::X86_64V3, Target::X86_64V3);
}

#[needs(x86_64v4)]
#[test]
fn avx512_kernels_compute_what_the_oracle_does() {
    check(Isa::X86_64V4, Target::X86_64V4);
}

#[needs(aarch64)]
#[test]
fn aarch64_kernels_compute_what_the_oracle_does() {
    check(Isa::Aarch64, Target::Aarch64);
}

#[needs(armv7)]
#[test]
fn armv7_kernels_compute_what_the_oracle_does() {
    check(Isa::Armv7, Target::Armv7);
}
