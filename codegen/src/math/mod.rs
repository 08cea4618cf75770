//! Selects the scalar functions that an emitted crate uses from [`source`].

use std::collections::BTreeSet;

use proc_macro2::TokenStream;
use quote::quote;

#[cfg(test)]
mod source;

/// The tested text that emitted crates copy from.
const SOURCE: &str = include_str!("source.rs");

/// What `math.rs` is.
pub(crate) const TITLE: &str =
    "Scalar functions of the layers: IEEE operations in a fixed order, the same bits everywhere.";

/// Items of `math.rs`: the functions that are `called`, and what those call, in the order of the source.
///
/// # Panics
/// Never: the source is this crate's own and tested.
pub(crate) fn items(called: &BTreeSet<String>) -> TokenStream {
    let all = syn::parse_file(SOURCE).expect("tested source");
    let functions: Vec<(String, syn::ItemFn)> = all
        .items
        .into_iter()
        .filter_map(|item| match item {
            syn::Item::Fn(f) => Some((f.sig.ident.to_string(), f)),
            _ => None,
        })
        .collect();
    let used = with_callees(called.clone(), &functions);
    let items = functions
        .into_iter()
        .filter(|(name, _)| used.contains(name))
        .map(|(_, f)| f);
    quote!(#(#items)*)
}

/// Adds what the functions in `used` call, directly or not.
fn with_callees(
    mut used: BTreeSet<String>,
    functions: &[(String, syn::ItemFn)],
) -> BTreeSet<String> {
    loop {
        let more: BTreeSet<String> = functions
            .iter()
            .filter(|(name, _)| used.contains(name))
            .flat_map(|(_, f)| {
                let body = &f.block;
                idents(quote!(#body))
            })
            .filter(|name| functions.iter().any(|(n, _)| n == name))
            .collect();
        let before = used.len();
        used.extend(more);
        if used.len() == before {
            return used;
        }
    }
}

fn idents(tokens: TokenStream) -> Vec<String> {
    let mut out = Vec::new();
    for t in tokens {
        match t {
            proc_macro2::TokenTree::Ident(i) => out.push(i.to_string()),
            proc_macro2::TokenTree::Group(g) => out.extend(idents(g.stream())),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{source as math, *};

    /// Distance of `got` from `want` in units of `want`'s last place.
    fn ulps(got: f32, want: f64) -> f64 {
        let w = want as f32;
        let next = f32::from_bits(w.abs().to_bits() + 1);
        (f64::from(got) - want).abs() / f64::from(next - w.abs())
    }

    fn sweep(lo: f32, hi: f32, f: fn(f32) -> f32, oracle: fn(f64) -> f64) -> f64 {
        let steps = 400_000;
        (0..=steps)
            .map(|i| lo + (hi - lo) * (i as f32 / steps as f32))
            .map(|x| ulps(f(x), oracle(f64::from(x))))
            .fold(0.0, f64::max)
    }

    #[test]
    fn exp_and_ln_are_within_two_ulp() {
        let e = sweep(-87.0, 88.7, math::exp, f64::exp);
        assert!(e <= 2.0, "exp is off by {e} ulp");
        // Near 1 and over many binades.
        let l = sweep(0.5, 2.0, math::ln, f64::ln).max(sweep(1e-3, 1e4, math::ln, f64::ln));
        assert!(l <= 2.0, "ln is off by {l} ulp");
    }

    #[test]
    fn exp_behaves_at_the_ends() {
        assert_eq!(math::exp(0.0), 1.0);
        assert_eq!(math::exp(-1e30), 0.0);
        assert_eq!(math::exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(math::exp(1e30), f32::INFINITY);
        assert!(math::exp(f32::NAN).is_nan());
        assert!(math::exp(-100.0) > 0.0, "subnormal results are kept");
        assert_eq!(math::logistic(-200.0), 0.0);
        assert_eq!(math::logistic(200.0), 1.0);
        assert_eq!(math::one_plus_exp(-1e30), 1.0);
        assert_eq!(math::one_plus_exp(1e30), f32::INFINITY);
        assert!(math::one_plus_exp(f32::NAN).is_nan());
    }

    /// Largest error relative to `1e-3 + |want|` over -30 ..= 30.
    fn check(f: fn(f32) -> f32, oracle: fn(f64) -> f64) {
        for i in -30_000..=30_000 {
            let x = i as f32 / 1000.0;
            let (got, want) = (f64::from(f(x)), oracle(f64::from(x)));
            assert!(
                (got - want).abs() <= 1e-6 * (0.1 + want.abs()),
                "f({x}) = {got}, not {want}"
            );
        }
    }

    #[test]
    fn activations_follow_darknets_formulas() {
        let leaky = |x: f64| if x > 0.0 { x } else { 0.1 * x };
        check(math::leaky, leaky);
        check(math::relu, |x| x.max(0.0));
        check(math::relu6, |x| x.clamp(0.0, 6.0));
        check(math::relie, |x| if x > 0.0 { x } else { 0.01 * x });
        check(math::ramp, |x| if x > 0.0 { 1.1 * x } else { 0.1 * x });
        check(math::logistic, |x| 1.0 / (1.0 + (-x).exp()));
        check(math::loggy, |x| 2.0 / (1.0 + (-x).exp()) - 1.0);
        check(math::elu, |x| if x >= 0.0 { x } else { x.exp() - 1.0 });
        check(math::selu, |x| {
            1.0507
                * if x >= 0.0 {
                    x
                } else {
                    1.6732 * (x.exp() - 1.0)
                }
        });
        check(math::gelu, |x| {
            0.5 * x * (1.0 + (0.797_885 * x + 0.035_677 * x.powi(3)).tanh())
        });
        check(math::tanh, f64::tanh);
        check(math::plse, |x| match x {
            x if x < -4.0 => 0.01 * (x + 4.0),
            x if x > 4.0 => 0.01 * (x - 4.0) + 1.0,
            x => 0.125 * x + 0.5,
        });
        check(math::stair, |x| {
            let n = x.floor();
            if n as i64 % 2 == 0 {
                (x / 2.0).floor()
            } else {
                (x - n) + (x / 2.0).floor()
            }
        });
        check(math::hardtan, |x| x.clamp(-1.0, 1.0));
        check(math::lhtan, |x| match x {
            x if x < 0.0 => 0.001 * x,
            x if x > 1.0 => 0.001 * (x - 1.0) + 1.0,
            x => x,
        });
        check(math::swish, |x| x / (1.0 + (-x).exp()));
        check(math::mish, |x| x * x.exp().ln_1p().tanh());
        check(math::hard_mish, |x| match x {
            x if x > 0.0 => x,
            x if x > -2.0 => x * x / 2.0 + x,
            _ => 0.0,
        });
    }

    #[test]
    fn pow_serves_normalisation() {
        for i in 1..2000 {
            let x = 1.0 + i as f32 / 50.0;
            let want = f64::from(x).powf(-0.75);
            assert!((f64::from(math::pow(x, -0.75)) / want - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn channel_normalisations_sum_up() {
        let x = [1.0_f32, -2.0, 3.0, 0.5];
        let mut y = x;
        math::softmax(&mut y, 1.0);
        let sum: f64 = x.iter().map(|x| f64::from(*x).exp()).sum();
        for (x, y) in x.iter().zip(y) {
            assert!((f64::from(*x).exp() / sum - f64::from(y)).abs() < 1e-6);
        }
        let mut y = x;
        math::normalize_channels(&mut y);
        assert!((y[2] - 3.0 / 4.5001).abs() < 1e-6 && y[1] == 0.0);
        let mut y = x;
        math::normalize_channels_softmax(&mut y);
        assert!((f64::from(y[0]) - 1f64.exp() / (sum + 1e-4)).abs() < 1e-6);
        let mut y = x;
        math::normalize_channels_softmax_maxval(&mut y);
        let shifted: f64 = x.iter().map(|x| (f64::from(*x) - 3.0).exp()).sum();
        assert!((f64::from(y[2]) - 1.0 / (shifted + 1e-4)).abs() < 1e-6);
    }

    #[test]
    fn selection_takes_what_is_called_and_no_more() {
        let tokens = items(&BTreeSet::from(["mish".to_owned()]));
        let names: Vec<String> = syn::parse2::<syn::File>(tokens)
            .unwrap()
            .items
            .iter()
            .map(|i| match i {
                syn::Item::Fn(f) => f.sig.ident.to_string(),
                _ => unreachable!("only functions"),
            })
            .collect();
        assert_eq!(names, ["exp", "exp_from", "mish"]);
        assert!(items(&BTreeSet::new()).is_empty());
    }
}
