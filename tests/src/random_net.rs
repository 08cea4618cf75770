//! Small random networks as cfg text: DAGs of tileable layers of many kinds, at odd sizes, with one
//! or several outputs at several resolutions. The same seed gives the same network.

use std::fmt::Write as _;

use crate::random::RandomSource;

/// Channels, rows, columns.
type Shape = (usize, usize, usize);

struct Net {
    random: RandomSource,
    text: String,
    layers: Vec<Shape>,
}

const ACTIVATIONS: [&str; 10] = [
    "leaky", "leaky", "linear", "relu", "relu6", "mish", "swish", "logistic", "hardtan", "elu",
];

/// The cfg text of the network of `seed`: 5 to 9 layers, then heads, if any.
pub fn cfg(seed: u64) -> String {
    let mut random = RandomSource::new(seed);
    let (c, h, w) = (
        random.index(1, 5),
        random.index(18, 33),
        random.index(18, 33),
    );
    let mut net = Net {
        text: format!("[net]\nchannels={c}\nheight={h}\nwidth={w}\n"),
        random,
        layers: Vec::new(),
    };
    net.conv((c, h, w));
    for _ in 0..net.random.index(4, 8) {
        net.layer();
    }
    for _ in 0..net.random.pick(&[0, 1, 2, 2, 3]) {
        net.head();
    }
    net.text
}

impl Net {
    fn push(&mut self, section: &str, shape: Shape) {
        let _ = writeln!(self.text, "[{section}");
        self.layers.push(shape);
    }

    /// Number and shape of a layer, before the last one, whose shape `fits`; `None` if no shape fits.
    fn earlier(&mut self, fits: impl Fn(Shape) -> bool) -> Option<(usize, Shape)> {
        let before = self.layers.len() - 1;
        let list: Vec<usize> = (0..before).filter(|i| fits(self.layers[*i])).collect();
        let at = (!list.is_empty()).then(|| self.random.pick(&list))?;
        Some((at, self.layers[at]))
    }

    fn layer(&mut self) {
        let x = self.layers[self.layers.len() - 1];
        let (c, h, w) = x;
        let same_sides = |s: Shape| (s.1, s.2) == (h, w);
        match self.random.index(0, 15) {
            0..=1 => self.pool(x),
            2 if h.max(w) <= 24 => self.push("upsample]\nstride=2", (c, 2 * h, 2 * w)),
            3..=4 => match self.earlier(same_sides) {
                Some((at, from)) => {
                    self.push(&format!("route]\nlayers={at},-1"), (from.0 + c, h, w))
                }
                None => self.conv(x),
            },
            5 if c % 2 == 0 => {
                let id = self.random.index(0, 1);
                self.push(
                    &format!("route]\nlayers=-1\ngroups=2\ngroup_id={id}"),
                    (c / 2, h, w),
                );
            }
            6..=7 => match self.earlier(same_sides) {
                Some((at, _)) => {
                    let f = self.random.pick(&ACTIVATIONS[..3]);
                    self.push(&format!("shortcut]\nfrom={at}\nactivation={f}"), x);
                }
                None => self.conv(x),
            },
            8 => match self.earlier(|_| true) {
                // A branch: the next layer reads this one.
                Some((at, from)) => self.push(&format!("route]\nlayers={at}"), from),
                None => self.conv(x),
            },
            9 if h % 2 == 0 && w % 2 == 0 => {
                let kind = if c % 4 == 0 { "reorg" } else { "reorg3d" };
                self.push(&format!("{kind}]\nstride=2"), (4 * c, h / 2, w / 2));
            }
            12 if c % 4 == 0 && h.max(w) <= 24 => {
                self.push("reorg]\nstride=2\nreverse=1", (c / 4, 2 * h, 2 * w));
            }
            13 if h.min(w) > 6 => {
                let (ch, cw) = (h - 3, w - 2);
                self.push(
                    &format!("crop]\ncrop_height={ch}\ncrop_width={cw}"),
                    (c, ch, cw),
                );
            }
            10 => {
                let f = self.random.pick(&["normalize_channels", "tanh", "gelu"]);
                self.push(&format!("activation]\nactivation={f}"), x);
            }
            11 => self.push("batchnorm]", x),
            _ => self.conv(x),
        }
    }

    fn pool(&mut self, (c, h, w): Shape) {
        let kind = if self.random.below(4) == 0 {
            "local_avgpool"
        } else {
            "maxpool"
        };
        let (size, stride) = self
            .random
            .pick(&[(2, 2), (2, 2), (3, 2), (2, 1), (3, 1), (5, 1)]);
        let stride = if h.min(w) < 8 { 1 } else { stride };
        self.push(
            &format!("{kind}]\nsize={size}\nstride={stride}"),
            (c, h.div_ceil(stride), w.div_ceil(stride)),
        );
    }

    fn conv(&mut self, (c, h, w): Shape) {
        let d = &mut self.random;
        let size: usize = d.pick(&[1, 1, 3, 3, 3, 3, 5, 2]);
        let dilation = if matches!(size, 3 | 5) && d.below(6) == 0 {
            2
        } else {
            1
        };
        let mut stride = || {
            if h.min(w) >= 10 && d.below(4) == 0 {
                2
            } else {
                1
            }
        };
        // [P] and [A] stride 1x1 kernels differently along one axis only.
        let (sy, sx) = (stride(), stride());
        let (sy, sx) = if size == 1 { (1, 1) } else { (sy, sx) };
        let (groups, filters) = match d.index(0, 5) {
            0 => (c, c),
            1 if c % 2 == 0 => (2, 2 * d.index(2, 9)),
            // Enough to write into a concatenation.
            2 => (1, d.index(32, 36)),
            _ => (1, d.index(2, 19)),
        };
        let f = d.pick(&ACTIVATIONS);
        let bn = d.index(0, 1);
        let p = size / 2;
        let side = |extent: usize, stride: usize| (extent + 2 * p - size) / stride + 1;
        let shape = (filters, side(h, sy), side(w, sx));
        self.push(
            &format!(
                "convolutional]\nbatch_normalize={bn}\nfilters={filters}\nsize={size}\npad=1\nstride_x={sx}\n\
                 stride_y={sy}\ndilation={dilation}\ngroups={groups}\nactivation={f}"
            ),
            shape,
        );
    }

    /// Adds a yolo head on a random layer.
    fn head(&mut self) {
        let at = self
            .random
            .index(self.layers.len() / 2, self.layers.len() - 1);
        let from = self.layers[at];
        let classes = self.random.index(1, 3);
        let shape = (classes + 5, from.1, from.2);
        self.push(&format!("route]\nlayers={at}"), from);
        self.push(
            &format!(
                "convolutional]\nfilters={}\nsize=1\nactivation=linear",
                classes + 5
            ),
            shape,
        );
        self.push(
            &format!("yolo]\nclasses={classes}\nnum=1\nmask=0\nanchors=7,9\nscale_x_y=1.1"),
            shape,
        );
    }
}

#[cfg(test)]
mod tests {
    use tessera_plan::graph::Darknet;

    use super::*;
    use crate::model;

    #[test]
    fn many_seeds_give_networks_with_the_shapes_that_were_meant() {
        let mut heads = [0; 4];
        for seed in 0..200 {
            let text = cfg(seed);
            let graph = model::graph("random", &text, Darknet::Alexey).unwrap();
            assert_eq!(text, cfg(seed));
            heads[graph.heads.len()] += 1;
        }
        assert!(heads.iter().all(|n| *n > 10), "{heads:?}");
    }
}
