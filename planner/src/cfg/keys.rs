//! Typed access to a section's keys: reads numbers as Darknet does where that is sound, and
//! reports the rest.

use std::{cell::RefCell, collections::BTreeSet};

use super::{
    diag::{Diagnostic, Severity, Span},
    lex::{Entry, Section},
    suggest::{nearest, other_case},
};
use tessera_plan::graph::{Activation, Darknet};

/// Largest magnitude of any whole number in a cfg: products of a few stay inside `i64`.
const INT_MAX: i64 = 1 << 31;

/// Most entries of a list.
const LIST_MAX: usize = 4096;

/// A section under interpretation.
#[derive(Debug)]
pub struct Keys<'a> {
    section: &'a Section,
    darknet: Darknet,
    used: RefCell<BTreeSet<&'a str>>,
    out: RefCell<Vec<Diagnostic>>,
}

/// Keys that any section may carry and that mean nothing at inference.
const TRAINING: &[&str] = &[
    "onlyforward",
    "stopbackward",
    "dont_update",
    "burnin_update",
    "train_only_bn",
    "learning_rate",
    "clip",
    "stream",
    "wait_stream",
    "dot",
    "reverse",
    "grad_centr",
    "coordconv",
    "angle",
    "sway",
    "rotate",
    "stretch",
    "stretch_sway",
    "assisted_excitation",
    "jitter",
    "ignore_thresh",
    "truth_thresh",
    "iou_loss",
    "iou_normalizer",
    "obj_normalizer",
    "cls_normalizer",
    "delta_normalizer",
    "uc_normalizer",
    "objectness_smooth",
    "max_delta",
    "random",
    "resize",
    "iou_thresh",
    "iou_thresh_kind",
    "max",
    "map",
    "counters_per_class",
    "label_smooth_eps",
    "embedding_layer",
    "embedding",
    "sim_thresh",
    "dets_for_track",
    "dets_for_show",
    "track_ciou_norm",
    "track_history_size",
    "focal_loss",
    "object_scale",
    "noobject_scale",
    "class_scale",
    "coord_scale",
    "absolute",
    "thresh",
    "bias_match",
    "rescore",
    "forced",
    "sqrt_",
    "probability",
    "dropblock",
    "dropblock_size_rel",
    "dropblock_size_abs",
    "flip",
    "saturation",
    "exposure",
    "shift",
    "hue",
    "classfix",
    "show_details",
    "type",
    "smooth",
    "noloss",
    "ratio",
    "scale_loss",
    "contrastive_delta",
    "cls_norm",
    "max_boxes",
    "weights_normalizion",
    "nms_threshold",
    "binary",
    "rewrite_bbox",
    "tanh",
    "state_constrain",
    "peephole",
    "bottleneck",
    "time_normalizer",
    "detection_layer",
    "cbn",
    "new_lr",
    "background",
    "temperature_",
    "embedding_size",
    "yolo_layer",
    "contrastive_layer",
    "dynamic_minibatch",
];

impl<'a> Keys<'a> {
    /// Begins to interpret `section`.
    pub fn new(section: &'a Section, darknet: Darknet) -> Self {
        Self {
            section,
            darknet,
            used: RefCell::default(),
            out: RefCell::default(),
        }
    }

    /// Where the section's header stands.
    pub fn header(&self) -> Span {
        self.section.span
    }

    /// The section's name.
    pub fn name(&self) -> &'a str {
        &self.section.name
    }

    /// Where the value of `key` stands; the header when it is missing.
    pub fn at(&self, key: &str) -> Span {
        let found = self.section.get(key);
        found.map_or(self.section.span, |e| e.value_span)
    }

    /// The raw value of a key. A key that is given without one is an error, said once: whoever asks needs it.
    pub fn text(&self, key: &'static str) -> Option<&'a str> {
        let first = self.used.borrow_mut().insert(key);
        if first && let Some(blank) = self.section.blank(key) {
            self.say(Diagnostic::new(
                Severity::Error,
                blank.span,
                format!("key `{key}` has no value"),
                "nothing after `=`",
                "give a value, or delete the line to take the default",
            ));
        }
        self.section.get(key).map(|e| e.value.as_str())
    }

    /// Marks a key as known, whatever its value.
    pub fn know(&self, key: &'static str) {
        self.used.borrow_mut().insert(key);
    }

    /// The key's meaning among `choices`. Another value is an error, and the first of `choices` is taken.
    pub fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> T {
        let default = choices[0].1;
        let Some(text) = self.text(key) else {
            return default;
        };
        let text = text.split('#').next().unwrap_or_default();
        if let Some((_, meaning)) = choices.iter().find(|(name, _)| *name == text) {
            return *meaning;
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let help = nearest(text, &names).map_or_else(
            || format!("known are {}", names.join(", ")),
            |near| format!("did you mean {near}?"),
        );
        self.error(key, format!("unknown {key} `{text}`"), help);
        default
    }

    /// Adds a diagnostic.
    pub fn say(&self, d: Diagnostic) {
        self.out.borrow_mut().push(d);
    }

    /// Whether something was said of this line.
    fn said(&self, line: &Entry) -> bool {
        self.out.borrow().iter().any(|d| d.span == line.span)
    }

    /// Adds an error at `key`, unless what is wrong follows from the key's lack of a value, which has been said.
    pub fn error(&self, key: &str, message: impl Into<String>, help: impl Into<String>) {
        if self.section.blank(key).is_some_and(|e| self.said(e)) {
            return;
        }
        self.say(Diagnostic::new(
            Severity::Error,
            self.at(key),
            message,
            "here",
            help,
        ));
    }

    /// Adds a refusal at `key`.
    pub fn unsupported(&self, key: &str, message: impl Into<String>, help: impl Into<String>) {
        self.say(Diagnostic::new(
            Severity::Unsupported,
            self.at(key),
            message,
            "here",
            help,
        ));
    }

    /// A whole number. Text after `#` is dropped, as real files rely on; anything else that is no
    /// number is an error (Darknet would read 0 or a prefix).
    pub fn int(&self, key: &'static str, default: i64) -> i64 {
        let Some(text) = self.text(key) else {
            return default;
        };
        self.parse_int(key, text).unwrap_or(default)
    }

    fn parse_int(&self, key: &str, text: &str) -> Option<i64> {
        let digits = text.split('#').next().unwrap_or_default();
        let n = digits.parse::<i64>().ok().filter(|n| n.abs() <= INT_MAX);
        if n.is_none() {
            let why = if digits
                .trim_start_matches(['-', '+'])
                .bytes()
                .all(|b| b.is_ascii_digit())
                && !digits.is_empty()
            {
                "too large"
            } else {
                "not a whole number"
            };
            self.error(
                key,
                format!("`{key}={text}` is {why}"),
                "write plain decimal digits",
            );
        }
        n
    }

    /// A whole number of at least `min`; `None` after an error.
    pub fn size(&self, key: &'static str, default: i64, min: i64) -> Option<usize> {
        let Some(text) = self.text(key) else {
            return usize::try_from(default).ok();
        };
        let n = self.parse_int(key, text)?;
        if n < min {
            self.error(
                key,
                format!("`{key}={text}` in [{}] must be at least {min}", self.name()),
                "correct the number",
            );
            return None;
        }
        usize::try_from(n).ok()
    }

    /// A flag: any number but 0 is set.
    pub fn flag(&self, key: &'static str) -> bool {
        self.int(key, 0) != 0
    }

    /// A number with a fraction.
    pub fn float(&self, key: &'static str, default: f32) -> f32 {
        let Some(text) = self.text(key) else {
            return default;
        };
        self.parse_float(key, text).unwrap_or(default)
    }

    fn parse_float(&self, key: &str, text: &str) -> Option<f32> {
        let n = text
            .split('#')
            .next()
            .unwrap_or_default()
            .parse::<f32>()
            .ok()
            .filter(|n| n.is_finite());
        if n.is_none() {
            self.error(
                key,
                format!("`{key}={text}`: `{text}` is not a number"),
                "write decimal digits, as in 0.25",
            );
        }
        n
    }

    /// A comma-separated list of whole numbers; empty when the key is missing.
    pub fn ints(&self, key: &'static str) -> Vec<i64> {
        self.list(key, |t| self.parse_int(key, t))
    }

    /// A comma-separated list of numbers; empty when the key is missing.
    pub fn floats(&self, key: &'static str) -> Vec<f32> {
        self.list(key, |t| self.parse_float(key, t))
    }

    /// The entries of a list up to the first `#`; stops after the first that is none.
    fn list<T>(&self, key: &'static str, parse: impl Fn(&'a str) -> Option<T>) -> Vec<T> {
        let text = self.text(key).unwrap_or_default();
        let text = text.split('#').next().unwrap_or_default();
        let mut list = Vec::new();
        for t in text.split(',').filter(|t| !t.is_empty()) {
            if list.len() >= LIST_MAX {
                self.error(
                    key,
                    format!("`{key}` has more than {LIST_MAX} entries"),
                    "no Darknet layer has that many",
                );
                break;
            }
            match parse(t) {
                Some(v) => list.push(v),
                None => break,
            }
        }
        list
    }

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

    /// Ends the interpretation: unknown keys become warnings, and so do keys without a value that nobody asked
    /// for.
    pub fn finish(self, out: &mut Vec<Diagnostic>) {
        self.warn_of_unknown_keys();
        self.finish_training(out);
    }

    /// As [`Keys::finish`] for a section whose other keys all steer training.
    pub fn finish_training(self, out: &mut Vec<Diagnostic>) {
        self.warn_of_blank_keys();
        out.append(&mut self.out.borrow_mut());
    }

    fn warn_of_unknown_keys(&self) {
        let used = self.used.borrow();
        for e in &self.section.entries {
            if !used.contains(e.key.as_str()) && !TRAINING.contains(&e.key.as_str()) {
                let known: Vec<&str> = used.iter().copied().collect();
                let help = nearest(&e.key, &known).map_or_else(
                    || "it is ignored".into(),
                    |n| format!("it is ignored; did you mean `{n}`?"),
                );
                self.say(Diagnostic::new(
                    Severity::Warning,
                    e.span,
                    format!("unknown key `{}` in [{}]", e.key, self.section.name),
                    "unknown",
                    help,
                ));
            }
        }
    }

    fn warn_of_blank_keys(&self) {
        for e in &self.section.blanks {
            if !self.said(e) {
                self.say(Diagnostic::new(
                    Severity::Warning,
                    e.span,
                    format!("key `{}` has no value and is ignored", e.key),
                    "nothing after `=`",
                    "give a value, or delete the line",
                ));
            }
        }
    }
}

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
