//! Both headers, transposed and flipped matrices, shared weights, blurs, both epsilons.

use tessera_plan::graph::{Darknet, Graph, NodeWeights};
use tessera_planner::{cfg, weights};

fn graph(layers: &str, darknet: Darknet) -> Graph {
    let text = format!("[net]\nwidth=4\nheight=4\nchannels=2\n{layers}");
    let (graph, said) = cfg::read(text.as_bytes(), "net", darknet);
    graph.unwrap_or_else(|| panic!("{said:?}"))
}

/// A header of three words and a counter of `counter` bytes, then values.
fn file(version: [i32; 3], counter: usize, values: &[f32]) -> Vec<u8> {
    let mut bytes: Vec<u8> = version.iter().flat_map(|v| v.to_le_bytes()).collect();
    bytes.extend(vec![0; counter]);
    bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    bytes
}

fn load(g: &Graph, bytes: &[u8]) -> Vec<NodeWeights> {
    let (model, said) = weights::from_bytes("w", bytes, g.clone()).unwrap();
    assert!(said.is_empty(), "{said:?}");
    model.weights.unwrap().into_iter().flatten().collect()
}

fn count(n: usize) -> Vec<f32> {
    (0..n).map(|i| i as f32).collect()
}

#[test]
fn headers_of_both_widths() {
    let g = graph("[convolutional]\nfilters=1\n", Darknet::Alexey);
    let values = [0.5, 2.0, 3.0];
    for (version, counter) in [
        ([0, 1, 0], 4),
        ([0, 2, 0], 8),
        ([0, 2, 5], 8),
        ([1, 0, 0], 8),
    ] {
        let w = load(&g, &file(version, counter, &values));
        assert_eq!((w[0].bias[0], &w[0].weights[..]), (0.5, &[2.0, 3.0][..]));
        let other = file(version, 12 - counter, &values);
        let e = weights::from_bytes("w", &other, g.clone()).unwrap_err();
        assert!(e.to_string().contains("differ by 4"), "{e}");
    }
}

#[test]
fn transposed_connected_layers() {
    let layers = "[connected]\noutput=3\nactivation=linear\n";
    for (darknet, counter) in [(Darknet::Alexey, 8), (Darknet::Pjreddie, 4)] {
        let g = graph(layers, darknet);
        let plain: Vec<f32> = count(3 + 3 * 32);
        // [in][out] in the file.
        let mut turned = plain[..3].to_vec();
        turned.extend((0..32).flat_map(|i| (0..3).map(move |o| (3 + o * 32 + i) as f32)));
        let a = load(&g, &file([0, 2, 0], 8, &plain));
        let b = load(&g, &file([0, 1001, 0], counter, &turned));
        assert_eq!(a, b, "{darknet:?}");
    }
}

#[test]
fn flipped_convolutions() {
    let keys = "[convolutional]\nfilters=3\nsize=3\npad=1\nactivation=linear\n";
    let plain = count(3 + 3 * 18);
    let mut turned = plain[..3].to_vec();
    turned.extend((0..18).flat_map(|k| (0..3).map(move |f| (3 + f * 18 + k) as f32)));
    let a = load(&graph(keys, Darknet::Alexey), &file([0, 2, 0], 8, &plain));
    let flipped = graph(&format!("{keys}flipped=1\n"), Darknet::Alexey);
    assert_eq!(a, load(&flipped, &file([0, 2, 0], 8, &turned)));
}

#[test]
fn shared_weights_have_no_data_of_their_own() {
    let first = "[convolutional]\nfilters=2\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n";
    for index in ["0", "-1"] {
        let second =
            first.replace("leaky", "linear") + &format!("dilation=2\nshare_index={index}\n");
        let g = graph(&format!("{first}{second}"), Darknet::Alexey);
        assert_eq!((g.layers[0].weights, g.layers[1].weights), (8 + 36, 0));
        let w = load(&g, &file([0, 2, 0], 8, &count(44)));
        assert_eq!(w[0], w[1]);
    }
    let three = format!("{first}{first}share_index=0\n{first}share_index=-1\n");
    let w = load(
        &graph(&three, Darknet::Alexey),
        &file([0, 2, 0], 8, &count(44)),
    );
    assert!(w[0] == w[1] && w[1] == w[2]);
    let other = format!(
        "{first}{}share_index=0\n",
        first.replace("filters=2", "filters=4")
    );
    let text = format!("[net]\nwidth=4\nheight=4\nchannels=2\n{other}");
    let (g, said) = cfg::read(text.as_bytes(), "net", Darknet::Alexey);
    assert!(
        g.is_none() && said[0].message.contains("differ"),
        "{said:?}"
    );
}

#[test]
fn blurs_keep_the_mean() {
    for (mode, taps) in [(1, 9), (2, 4)] {
        let g = graph(
            &format!(
                "[convolutional]\nfilters=3\nstride=2\nantialiasing={mode}\nactivation=linear\n"
            ),
            Darknet::Alexey,
        );
        let w = load(&g, &file([0, 2, 0], 8, &count(9)));
        assert_eq!(w[1].weights.len(), 3 * taps);
        for filter in w[1].weights.chunks(taps) {
            assert_eq!(filter.iter().sum::<f32>(), 1.0);
        }
    }
}

#[test]
fn both_epsilons() {
    // Variance 0: AlexeyAB divides by sqrt(1e-5), the original by 1e-6.
    let keys = "[convolutional]\nfilters=1\nbatch_normalize=1\nactivation=linear\n";
    let values = [0.25, 1.0, 0.5, 0.0, 1.0, 2.0];
    for (darknet, factor) in [
        (Darknet::Alexey, 1.0 / 1e-5f64.sqrt()),
        (Darknet::Pjreddie, 1e6),
    ] {
        let w = load(&graph(keys, darknet), &file([0, 2, 0], 8, &values));
        let close = |a: f32, b: f64| (f64::from(a) - b).abs() <= 1e-5 * b.abs();
        assert!(close(w[0].weights[0], factor) && close(w[0].weights[1], 2.0 * factor));
        assert!(close(w[0].bias[0], 0.25 - 0.5 * factor), "{:?}", w[0]);
    }
}

#[test]
fn what_is_not_in_the_file_is_refused() {
    let conv = "[convolutional]\nfilters=2\nbatch_normalize=1\n";
    for (layers, key) in [
        (format!("{conv}dontload=1\n"), "dontload"),
        (format!("{conv}dontloadscales=1\n"), "dontloadscales"),
        ("[batchnorm]\ndontload=1\n".to_string(), "dontload"),
        (
            "[connected]\noutput=2\ndontload=1\n".to_string(),
            "dontload",
        ),
    ] {
        let text = format!("[net]\nwidth=4\nheight=4\nchannels=2\n{layers}");
        let (g, said) = cfg::read(text.as_bytes(), "net", Darknet::Alexey);
        assert!(g.is_none() && said[0].message.contains(key), "{said:?}");
    }
    // It means nothing where there is nothing to load.
    graph("[maxpool]\nsize=2\nstride=2\ndontload=1\n", Darknet::Alexey);
    graph("[convolutional]\ndontloadscales=1\n", Darknet::Alexey);
}

#[test]
fn layers_that_nothing_needs_still_own_their_weights() {
    // Behind the last head.
    let layers = "[convolutional]\nfilters=6\nactivation=linear\n[yolo]\nclasses=1\n\
        [convolutional]\nfilters=5\nactivation=linear\n";
    let g = graph(layers, Darknet::Alexey);
    let total: usize = g.layers.iter().map(|l| l.weights).sum();
    assert_eq!(total, 6 * 3 + 5 * 7);
    assert_eq!(load(&g, &file([0, 2, 0], 8, &count(total))).len(), 1);
}
