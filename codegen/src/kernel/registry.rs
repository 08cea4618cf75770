//! The list of kernel generators.
//!
//! A line of the list is a generator: its name, its instruction set, how it forms sums, and the functions that
//! print a kernel's module and its assembly. The list makes [`GENERATORS`], by which kernels are printed, and,
//! in `codegen/tests/kernels`, the tests of every generator: a new line is tested without another word.

use proc_macro2::TokenStream;
use tessera_plan::plan::{ConvKernel, Isa};

use super::{aarch64, armv7, portable, printed::Printed, x86_64};

/// How kernels form their sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Direct kernels: tap by tap.
    Direct,
    /// Winograd kernels: by transforms.
    Winograd,
}

/// Hands the list of generators to the macro `$with`, as
/// `name: instruction set, form, function that prints modules, function that prints assembly;` lines. The
/// functions are private to this crate; the tests leave them out.
#[macro_export]
macro_rules! with_generators {
    ($with:ident) => {
        $with! {
            portable_direct: Portable, Direct, portable::direct, no_assembly;
            portable_winograd: Portable, Winograd, portable::winograd, no_assembly;
            avx2_direct: X86_64V3, Direct, x86_64::direct, no_assembly;
            avx2_winograd: X86_64V3, Winograd, x86_64::winograd, no_assembly;
            avx512_direct: X86_64V4, Direct, x86_64::direct, no_assembly;
            avx512_winograd: X86_64V4, Winograd, x86_64::winograd, no_assembly;
            aarch64_direct: Aarch64, Direct, aarch64::direct, no_assembly;
            aarch64_winograd: Aarch64, Winograd, aarch64::winograd, no_assembly;
            armv7_direct: Armv7, Direct, armv7::direct, armv7::direct_assembly;
            armv7_winograd: Armv7, Winograd, armv7::winograd, armv7::winograd_assembly;
        }
    };
}

/// A line of the list.
pub(super) struct Generator {
    pub isa: Isa,
    pub form: Form,
    /// Prints the items of a kernel's module.
    pub module: fn(&Printed) -> TokenStream,
    /// Prints the assembly that the module includes: the endings of the files' names, and their texts.
    pub assembly: fn(&ConvKernel, usize) -> Vec<(String, String)>,
}

macro_rules! generators {
    ($($name:ident: $isa:ident, $form:ident, $module:path, $assembly:path;)*) => {
        /// All generators.
        pub(super) const GENERATORS: &[Generator] = &[$(Generator {
            isa: Isa::$isa,
            form: Form::$form,
            module: $module,
            assembly: $assembly,
        }),*];
    };
}
with_generators!(generators);

fn no_assembly(_: &ConvKernel, _: usize) -> Vec<(String, String)> {
    Vec::new()
}

/// The generator of a kernel.
///
/// # Panics
/// If the list has none: a kernel that no plan can name.
pub(super) fn generator(k: &ConvKernel, isa: Isa) -> &'static Generator {
    let form = if k.algorithm.is_direct() {
        Form::Direct
    } else {
        Form::Winograd
    };
    let found = GENERATORS.iter().find(|g| (g.isa, g.form) == (isa, form));
    found.expect("every instruction set has generators of both forms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_has_one_generator() {
        for isa in [
            Isa::Portable,
            Isa::X86_64V3,
            Isa::X86_64V4,
            Isa::Aarch64,
            Isa::Armv7,
        ] {
            for form in [Form::Direct, Form::Winograd] {
                let of = GENERATORS.iter().filter(|g| (g.isa, g.form) == (isa, form));
                assert_eq!(of.count(), 1, "{isa:?}, {form:?}");
            }
        }
    }
}
