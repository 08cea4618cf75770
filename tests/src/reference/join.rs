//! Layers that read several other layers.

use anyhow::{Context, Result, ensure};

use super::{Cx, Fork, Map, activation, weights::Reader};

pub(super) fn route(cx: &Cx<'_>) -> Result<Map> {
    let s = cx.section;
    let (groups, id) = match cx.fork {
        Fork::Alexey => (s.size("groups", 1)?, s.size("group_id", 0)?),
        Fork::Original => (1, 0),
    };
    let mut data = Vec::new();
    let (mut c, mut sides) = (0, None);
    for index in s.ints("layers") {
        let x = cx.output(index)?;
        ensure!(
            *sides.get_or_insert((x.h, x.w)) == (x.h, x.w),
            "sides differ"
        );
        let part = x.c / groups;
        data.extend_from_slice(&x.data[id * part * x.h * x.w..][..part * x.h * x.w]);
        c += part;
    }
    let (h, w) = sides.context("no layers")?;
    Map::new(c, h, w, data)
}

pub(super) fn shortcut(cx: &Cx<'_>, reader: &mut Reader<'_>) -> Result<Map> {
    let s = cx.section;
    let first = cx.previous();
    let from: Vec<&Map> = s
        .ints("from")
        .into_iter()
        .map(|i| cx.output(i))
        .collect::<Result<_>>()?;
    let name = s.text("activation").unwrap_or("linear");
    let sum = if cx.fork == Fork::Original {
        ensure!(from.len() == 1, "one from-layer");
        resized(cx, first, from[0])
    } else {
        let per = s.text("weights_type").unwrap_or("none");
        let inputs: Vec<&Map> = [first].into_iter().chain(from).collect();
        ensure!(
            inputs.iter().all(|x| (x.h, x.w) == (first.h, first.w)),
            "sides differ"
        );
        let factors = if per == "none" {
            None
        } else {
            let each = if per == "per_channel" { first.c } else { 1 };
            let raw = reader.take(inputs.len() * each)?;
            let how = s.text("weights_normalization").unwrap_or("none");
            Some((normalised(&raw, inputs.len(), each, how), each))
        };
        Map::from_fn(first.c, first.h, first.w, |k, j, i| {
            let terms = inputs.iter().enumerate().filter(|(_, x)| k < x.c);
            let term = |(n, x): (usize, &&Map)| {
                let factor = factors.as_ref().map_or(1.0, |(f, each)| {
                    f[n * each + if *each == 1 { 0 } else { k }]
                });
                factor * x.at(k, j, i)
            };
            terms.map(term).sum()
        })
    };
    activation::apply(name, &sum)
}

/// Normalises factors `[input][each]` over the inputs.
fn normalised(raw: &[f64], inputs: usize, each: usize, how: &str) -> Vec<f64> {
    let mut out = raw.to_vec();
    for k in 0..each {
        let mine = |n: usize| raw[n * each + k];
        let most = (0..inputs).map(mine).fold(f64::NEG_INFINITY, f64::max);
        let part = |n: usize| match how {
            "softmax" => (mine(n) - most).exp(),
            "relu" | "avg_relu" => mine(n).max(0.0),
            _ => mine(n),
        };
        let sum: f64 = (0..inputs).map(part).sum();
        for n in 0..inputs {
            out[n * each + k] = match how {
                "softmax" | "relu" | "avg_relu" => part(n) / (0.0001 + sum),
                _ => part(n),
            };
        }
    }
    out
}

/// The original fork's shortcut, which samples layers of other sizes.
fn resized(cx: &Cx<'_>, first: &Map, from: &Map) -> Map {
    let (alpha, beta) = (
        cx.section.float("alpha", 1.0),
        cx.section.float("beta", 1.0),
    );
    let down = (from.w / first.w).max(1);
    let up = (first.w / from.w).max(1);
    let mut y = first.clone();
    for k in 0..first.c.min(from.c) {
        for j in 0..first.h.min(from.h) {
            for i in 0..first.w.min(from.w) {
                let v = y.at_mut(k, j * up, i * up);
                *v = alpha * *v + beta * from.at(k, j * down, i * down);
            }
        }
    }
    y
}

pub(super) fn sam(cx: &Cx<'_>) -> Result<Map> {
    let (x, from) = (cx.previous(), cx.output(cx.section.int("from", 0))?);
    ensure!(x.same_shape(from), "shapes differ");
    let product = Map::from_fn(x.c, x.h, x.w, |k, j, i| x.at(k, j, i) * from.at(k, j, i));
    activation::apply(cx.section.text("activation").unwrap_or("linear"), &product)
}

pub(super) fn scale_channels(cx: &Cx<'_>) -> Result<Map> {
    let (x, from) = (cx.previous(), cx.output(cx.section.int("from", 0))?);
    let per_pixel = cx.section.flag("scale_wh");
    ensure!(
        if per_pixel {
            (x.c, x.h, x.w) == (1, from.h, from.w)
        } else {
            (x.c, x.h, x.w) == (from.c, 1, 1)
        },
        "shapes do not fit"
    );
    let product = Map::from_fn(from.c, from.h, from.w, |k, j, i| {
        let factor = if per_pixel {
            x.at(0, j, i)
        } else {
            x.at(k, 0, 0)
        };
        factor * from.at(k, j, i)
    });
    activation::apply(cx.section.text("activation").unwrap_or("linear"), &product)
}
