//! Every kernel against a scalar oracle in double precision: a crate with many kernels is emitted,
//! built and run once per generator of the list in `codegen/src/kernel/registry.rs`.

use std::{collections::BTreeSet, fmt::Write as _, path::PathBuf, process::Command};

use tessera_codegen::{
    emit_kernels,
    kernel::{self, Form},
    write_files,
};
use tessera_needs::needs;
use tessera_plan::{
    graph::Activation,
    kernel::menu,
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

/// Kernels of every kind, size, depth, block and activation, with their channels.
fn matrix(isa: Isa) -> BTreeSet<(ConvKernel, usize)> {
    let blocks: Vec<(usize, usize)> = menu(isa)
        .iter()
        .flat_map(|b| (1..=b.mr_max).map(|mr| (b.nr, mr)))
        .collect();
    let widest = menu(isa)[0];
    let couts = [1, 5, 8, 16, 24, 37, 64, 75, 128];
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
        for mr in 4..=widest.mr_max {
            set.extend(kernel(
                size,
                stride,
                1,
                cin,
                0,
                cout,
                mr,
                widest.nr,
                Activation::Leaky,
                false,
                cout == 32,
            ));
        }
    }
    // Every block size once, then any.
    let mut of_menu = blocks.iter().copied();
    loop {
        let (nr, mr) = match of_menu.next() {
            Some(block) => block,
            None if set.len() < DRAWN => draw.from(&blocks),
            None => break,
        };
        let size = draw.from(&[1, 1, 3, 3, 3, 5, 7, 2]);
        let depthwise = draw.from(&[false, false, true]);
        set.extend(kernel(
            size,
            draw.from(&[1, 1, 1, 2, 2, 3]),
            draw.from(&[1, 1, 1, 2, 3]),
            draw.from(&[1, 3, 8, 17, 32]),
            // Other groups' channels lie beside.
            draw.from(&[0, 0, 5]),
            draw.from(&couts),
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
    for (k, channels) in kernels {
        let name = kernel::name(k, isa, *channels);
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
             x_stride: {x_stride}, y_stride: {y_stride}, mr: {mr}, nr: {nr}, lanes: {channels}, \
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

/// Emits `kernels` and the program that `main_rs` makes of them, builds it and runs it.
fn run(
    name: &str,
    kernels: &BTreeSet<(ConvKernel, usize)>,
    isa: Isa,
    target: Target,
    main_rs: fn(&BTreeSet<(ConvKernel, usize)>, Isa, bool) -> String,
) {
    let (triple, target) = (target.triple(), target.name());
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let emitted = emit_kernels(kernels, isa, target, "src/kernels").expect("kernels are emitted");
    let (mut files, has_math) = (emitted.files, emitted.math.is_some());
    files.extend(emitted.math.map(|m| ("src/math.rs".to_owned(), m)));
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

/// Kernels of a generator's instruction set and form compute what their oracle does.
fn check(name: &str, isa: Isa, form: Form) {
    let target = Target::ALL.into_iter().find(|t| t.kernels() == isa);
    let target = target.expect("an instruction set of some target");
    match form {
        Form::Direct => run(name, &matrix(isa), isa, target, main_rs),
        Form::Winograd => run(name, &winograd::matrix(isa), isa, target, winograd::main_rs),
    }
}

/// A test per generator, with what its instruction set needs of this machine.
macro_rules! tests {
    ($($name:ident: $isa:ident, $form:ident, $module:path, $assembly:path;)*) => {
        $(
            #[needs($isa)]
            #[test]
            fn $name() {
                check(stringify!($name), Isa::$isa, Form::$form);
            }
        )*
    };
}
tessera_codegen::with_generators!(tests);
