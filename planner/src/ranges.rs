//! Ranges of a network's values on pictures, channel by channel, and the scales of bytes that they give.

use std::collections::BTreeMap;

use tessera_plan::{
    graph::{Graph, TensorIx},
    plan::Scales,
};

/// The largest byte.
const BYTE_MAX: f32 = 255.0;

/// The least and the greatest value of every channel of a network's tensors, as seen on pictures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranges(BTreeMap<TensorIx, Vec<[f32; 2]>>);

impl Ranges {
    /// Adds what was seen of a channel of a tensor. Values that are no finite numbers say nothing.
    pub fn add(&mut self, t: TensorIx, channel: usize, values: impl IntoIterator<Item = f32>) {
        let channels = self.0.entry(t).or_default();
        if channels.len() <= channel {
            channels.resize(channel + 1, [0.0, 0.0]);
        }
        let [lo, hi] = &mut channels[channel];
        for v in values.into_iter().filter(|v| v.is_finite()) {
            *lo = lo.min(v);
            *hi = hi.max(v);
        }
    }

    /// Scales of a tensor's bytes; `None` if not all of its channels were seen.
    ///
    /// A channel's bytes reach from its least to its greatest value, and one of them is 0. Steps are rounded up to four
    /// digits, so that sums in another order give the same plan. A channel that was 0 throughout gets the largest
    /// step of the others.
    pub fn scales(&self, graph: &Graph, t: TensorIx) -> Option<Scales> {
        let ranges = self.0.get(&t)?;
        if ranges.len() != graph.shape(t).c {
            return None;
        }
        let (mut steps, zeros): (Vec<f32>, Vec<u8>) = ranges.iter().map(scale).unzip();
        let largest = steps.iter().copied().fold(0.0, f32::max);
        let usual = if largest > 0.0 { largest } else { 1.0 };
        steps
            .iter_mut()
            .filter(|s| **s == 0.0)
            .for_each(|s| *s = usual);
        Some(Scales { steps, zeros })
    }
}

/// Step and zero of a range that has 0 in it; no step if it has nothing else.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "zeros lie between 0 and 255"
)]
fn scale([lo, hi]: &[f32; 2]) -> (f32, u8) {
    // Halves of both ends, since their difference may be infinite.
    let below = -lo / 2.0;
    let width = below + hi / 2.0;
    if width <= 0.0 {
        return (0.0, 0);
    }
    // Where there is anything below 0, a byte stands for it.
    let least = if below > 0.0 { 1.0 } else { 0.0 };
    let most = if *hi > 0.0 { BYTE_MAX - 1.0 } else { BYTE_MAX };
    let zero = (BYTE_MAX * (below / width)).round().clamp(least, most);
    let reach = |end: f32, bytes: f32| if end > 0.0 { end / bytes } else { 0.0 };
    let step = reach(*hi, BYTE_MAX - zero).max(reach(-lo, zero));
    (rounded_up(step.clamp(1e-30, 1e30)), zero as u8)
}

/// The next number of four digits.
#[expect(clippy::cast_possible_truncation, reason = "steps are float32")]
fn rounded_up(step: f32) -> f32 {
    let step = f64::from(step);
    let unit = 10f64.powi(step.log10().floor() as i32 - 3);
    // What is a number of four digits already stays what it is.
    ((step / unit - 1e-4).ceil() * unit) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cfg;
    use tessera_plan::graph::{Darknet, NodeIx};

    #[test]
    fn bytes_reach_over_the_whole_range() {
        let cases = [
            ([0.0, 10.0], 0),
            ([-1.0, 9.0], 26),
            ([-0.001, 10.0], 1),
            ([-10.0, 0.0], 255),
            ([-10.0, 0.01], 254),
            ([-3.0, 3.0], 128),
            ([-3e38, 3e38], 128),
            ([0.0, 1e-38], 0),
        ];
        for (range, zero) in cases {
            let (step, found) = scale(&range);
            assert_eq!(found, zero, "{range:?}");
            let value = |byte: u8| (f32::from(byte) - f32::from(found)) * step;
            assert!(step.is_finite() && step > 0.0, "{range:?}: {step}");
            if range[1] < 1e38 {
                assert!(
                    value(0) <= range[0] && value(255) >= range[1],
                    "{range:?}: {step}"
                );
            }
        }
        assert_eq!(scale(&[0.0, 0.0]), (0.0, 0));
    }

    #[test]
    fn steps_have_four_digits() {
        for (step, want) in [
            (0.012_341, 0.012_35),
            (0.012_34, 0.012_34),
            (9999.5, 10_000.0),
            (1.0, 1.0),
        ] {
            assert_eq!(rounded_up(step), want, "{step}");
        }
        // Differences in the last bits do not show.
        let step = 0.034_567_1f32;
        assert_eq!(rounded_up(step), rounded_up(step.next_up()));
    }

    #[test]
    fn a_tensor_needs_ranges_of_all_channels() {
        let text = "[net]\nwidth=2\nheight=2\nchannels=3\n[convolutional]\nfilters=3\n";
        let graph = cfg::read(text.as_bytes(), "net", Darknet::Alexey)
            .0
            .unwrap();
        let t = TensorIx::node(NodeIx(0));
        let mut ranges = Ranges::default();
        assert_eq!(ranges.scales(&graph, t), None);
        ranges.add(t, 0, [0.0, 2.55, f32::NAN]);
        ranges.add(t, 1, [0.0, 0.0]);
        assert_eq!(ranges.scales(&graph, t), None);
        ranges.add(t, 2, [-0.255, f32::INFINITY]);
        let scales = ranges.scales(&graph, t).unwrap();
        assert_eq!(scales.steps, [0.01, 0.01, 0.001]);
        assert_eq!(scales.zeros, [0, 0, 255]);
    }
}
