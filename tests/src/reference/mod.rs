//! Reference interpreter: Darknet's inference, layer by layer, in the slow and obvious way, with double
//! precision, C, H, W order and one value at a time.
//!
//! The interpreter shares no code with planner and codegen: it parses cfg text and weights bytes itself, works
//! out shapes itself, and folds nothing. Every function follows the description of Darknet's layer of that name
//! in `docs/darknet.md`. Keys, defaults and oddities are those of AlexeyAB's fork, unless the caller asks for
//! [`Fork::Original`].

mod activation;
mod boxes;
mod cfg;
mod conv;
mod dense;
mod heads;
mod join;
mod map;
mod norm;
mod pool;
mod shape;
mod weights;

use anyhow::{Context, Result, ensure};

pub use boxes::{Found, boxes};
pub use map::Map;

use self::{cfg::Section, weights::Reader};

/// The fork of Darknet to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// AlexeyAB's fork.
    Alexey,
    /// The original Darknet.
    Original,
}

/// A layer's output.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Name of the layer's section.
    pub kind: String,
    /// Output of the layer.
    pub map: Map,
    section: Section,
    conv: Option<conv::Weights>,
}

/// Context of a layer: its section, the layers before and the network's input.
struct Cx<'a> {
    fork: Fork,
    section: &'a Section,
    /// All layers before; their count is the layer's own number.
    before: &'a [Layer],
    /// The network's input.
    input: &'a Map,
}

impl Cx<'_> {
    /// Output of the layer before.
    fn previous(&self) -> &Map {
        self.before.last().map_or(self.input, |l| &l.map)
    }

    /// Number of the layer to which `index` refers: absolute if not negative, else relative to this layer.
    fn number(&self, index: i64) -> Result<usize> {
        let here = self.before.len();
        let at = if index < 0 {
            i64::try_from(here)? + index
        } else {
            index
        };
        let at = usize::try_from(at).context("a layer before the first")?;
        ensure!(at < here, "layer {here} refers to layer {at}");
        Ok(at)
    }

    fn output(&self, index: i64) -> Result<&Map> {
        Ok(&self.before[self.number(index)?].map)
    }
}

/// Runs the network of the cfg `text` with the weights file `bytes` on `input` (C, H, W order); returns the output
/// of every layer.
///
/// # Errors
/// When the cfg or the weights file cannot be parsed, or sizes do not fit.
pub fn run(text: &str, bytes: &[u8], input: &[f32], fork: Fork) -> Result<Vec<Layer>> {
    let sections = cfg::parse(text)?;
    let (net, sections) = sections.split_first().context("no [net]")?;
    let input = Map::new(
        net.size("channels", 0)?,
        net.size("height", 0)?,
        net.size("width", 0)?,
        input.iter().map(|v| f64::from(*v)).collect(),
    )?;
    let mut reader = Reader::new(bytes)?;
    let mut layers: Vec<Layer> = Vec::new();
    for section in sections {
        let cx = Cx {
            fork,
            section,
            before: &layers,
            input: &input,
        };
        let (map, conv) = layer(&cx, &mut reader)
            .with_context(|| format!("layer {} [{}]", layers.len(), section.name))?;
        layers.push(Layer {
            kind: section.name.clone(),
            map,
            section: section.clone(),
            conv,
        });
    }
    reader.finish()?;
    Ok(layers)
}

fn layer(cx: &Cx<'_>, reader: &mut Reader<'_>) -> Result<(Map, Option<conv::Weights>)> {
    let map = match cx.section.name.as_str() {
        "convolutional" | "conv" => {
            return conv::convolutional(cx, reader).map(|(m, w)| (m, Some(w)));
        }
        "maxpool" | "max" => pool::maxpool(cx)?,
        "local_avgpool" => pool::local_avgpool(cx)?,
        "avgpool" | "avg" => pool::avgpool(cx),
        "route" => join::route(cx)?,
        "shortcut" => join::shortcut(cx, reader)?,
        "sam" => join::sam(cx)?,
        "scale_channels" => join::scale_channels(cx)?,
        "upsample" => shape::upsample(cx)?,
        "reorg" => shape::reorg(cx)?,
        "reorg3d" => shape::reorg3d(cx)?,
        "crop" => shape::crop(cx)?,
        "connected" | "conn" => dense::connected(cx, reader)?,
        "local" => dense::local(cx, reader)?,
        "softmax" | "soft" => dense::softmax(cx)?,
        "batchnorm" => norm::batchnorm(cx, reader)?,
        "normalization" | "lrn" => norm::lrn(cx)?,
        "activation" => activation::layer(cx)?,
        "yolo" => heads::yolo(cx)?,
        "Gaussian_yolo" => heads::gaussian(cx)?,
        "region" => heads::region(cx)?,
        "detection" => heads::detection(cx)?,
        // These layers do nothing at inference, but have a number.
        "dropout" | "cost" | "empty" | "silence" | "contrastive" => cx.previous().clone(),
        other => anyhow::bail!("[{other}] is not known here"),
    };
    Ok((map, None))
}
