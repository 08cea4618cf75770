//! The key `activation` (`docs/darknet.md#activations`).

use super::Keys;
use crate::cfg::{
    diag::{Diagnostic, Severity},
    suggest::{nearest, other_case},
};
use tessera_plan::graph::{Activation, Darknet};

impl Keys<'_> {
    /// The `activation` key of a layer where Darknet's CPU build computes zeros for the newer
    /// functions, a defect (`docs/darknet.md#activations`).
    pub fn activation_elsewhere(&self, default: Activation) -> Activation {
        let found = self.activation(default);
        let zeros = matches!(
            found,
            Activation::Swish
                | Activation::Mish
                | Activation::HardMish
                | Activation::NormalizeChannels
                | Activation::NormalizeChannelsSoftmax
                | Activation::NormalizeChannelsSoftmaxMaxval
        );
        if zeros {
            self.say(Diagnostic::new(
                Severity::Warning,
                self.at("activation"),
                format!(
                    "Darknet's CPU build computes zeros for `{}` in [{}]",
                    found.name(),
                    self.name()
                ),
                "computed by its formula here",
                "put it into the convolution before, where Darknet computes it",
            ));
        }
        found
    }

    /// The `activation` key.
    pub fn activation(&self, default: Activation) -> Activation {
        let Some(text) = self.text("activation") else {
            return default;
        };
        let name = text.split('#').next().unwrap_or_default();
        let found = match name {
            "revleaky" => Some(Activation::Leaky),
            _ => ALL.iter().copied().find(|a| a.name() == name),
        };
        let taken = found.or_else(|| meant(name));
        if let (Darknet::Pjreddie, Some(a)) = (self.darknet, taken)
            && !original_knows(a, name)
        {
            self.error(
                "activation",
                format!(
                    "the original Darknet does not know activation `{name}` (it would take relu)"
                ),
                "for models of AlexeyAB's fork leave --darknet pjreddie out",
            );
        } else if let (None, Some(a)) = (found, taken) {
            let meant = a.name();
            self.say(Diagnostic::new(
                Severity::Warning,
                self.at("activation"),
                format!(
                    "activation `{name}` is taken as {meant}; Darknet does not know it and would take relu"
                ),
                format!("computed as {meant}"),
                format!("write {meant}; or relu, if Darknet itself trained with this cfg"),
            ));
        }
        taken.unwrap_or_else(|| {
            self.error(
                "activation",
                format!("unknown activation `{name}` (Darknet would take relu)"),
                activation_help(name),
            );
            Activation::Relu
        })
    }
}

/// All functions, in the order in which messages list them.
const ALL: [Activation; 22] = [
    Activation::Linear,
    Activation::Logistic,
    Activation::Loggy,
    Activation::Relu,
    Activation::Relu6,
    Activation::Leaky,
    Activation::Relie,
    Activation::Ramp,
    Activation::Elu,
    Activation::Selu,
    Activation::Gelu,
    Activation::Tanh,
    Activation::Plse,
    Activation::Stair,
    Activation::Hardtan,
    Activation::Lhtan,
    Activation::Swish,
    Activation::Mish,
    Activation::HardMish,
    Activation::NormalizeChannels,
    Activation::NormalizeChannelsSoftmax,
    Activation::NormalizeChannelsSoftmaxMaxval,
];

/// Names that other frameworks give to functions, and the same function in Darknet, where it has one.
/// They are no misspellings: `celu` is one letter from `selu`, another function.
const ELSEWHERE: &[(&str, Option<Activation>)] = &[
    ("sigmoid", Some(Activation::Logistic)),
    ("identity", Some(Activation::Linear)),
    ("none", Some(Activation::Linear)),
    ("hardtanh", Some(Activation::Hardtan)),
    ("leaky_relu", Some(Activation::Leaky)),
    ("leakyrelu", Some(Activation::Leaky)),
    ("lrelu", Some(Activation::Leaky)),
    ("prelu", None),
    ("celu", None),
    ("hswish", None),
    ("hardswish", None),
    ("hard_swish", None),
    ("softplus", None),
];

/// The activation that a name which Darknet does not know stands for beyond doubt: another case, or `silu`, as
/// cfgs for PyTorch call swish.
fn meant(name: &str) -> Option<Activation> {
    let names: Vec<&str> = ALL.iter().map(|a| a.name()).collect();
    let meant = if name.eq_ignore_ascii_case("silu") {
        "swish"
    } else {
        other_case(name, &names)?
    };
    ALL.iter().copied().find(|a| a.name() == meant)
}

/// What to write instead of an unknown activation.
fn activation_help(name: &str) -> String {
    let names: Vec<&str> = ALL.iter().map(|a| a.name()).collect();
    let known = || format!("known are {}", names.join(", "));
    match ELSEWHERE.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
        Some((_, Some(a))) => format!("Darknet calls {name} {}", a.name()),
        Some((_, None)) => format!("Darknet has no {name}; {}", known()),
        None => nearest(name, &names).map_or_else(known, |near| format!("did you mean {near}?")),
    }
}

/// Whether the original fork knows an activation.
fn original_knows(a: Activation, name: &str) -> bool {
    !matches!(
        a,
        Activation::Relu6
            | Activation::Gelu
            | Activation::Swish
            | Activation::Mish
            | Activation::HardMish
            | Activation::NormalizeChannels
            | Activation::NormalizeChannelsSoftmax
            | Activation::NormalizeChannelsSoftmaxMaxval
    ) && name != "revleaky"
}

#[cfg(test)]
mod tests {
    use super::activation_help;

    #[test]
    fn help_for_unknown_activations() {
        for (name, help) in [
            ("leeky", "did you mean leaky?"),
            ("Sigmoid", "Darknet calls Sigmoid logistic"),
            ("sigmoid", "Darknet calls sigmoid logistic"),
        ] {
            assert_eq!(activation_help(name), help);
        }
        let help = activation_help("garbage");
        assert!(help.starts_with("known are linear, "), "{help}");
        let help = activation_help("hard_swish");
        assert!(
            help.starts_with("Darknet has no hard_swish; known are "),
            "{help}"
        );
    }
}
