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
        // The length proves the other width.
        let other = file(version, 12 - counter, &values);
        let (model, said) = weights::from_bytes("w", &other, g.clone()).unwrap();
        assert_eq!(model.weights.unwrap()[0].as_ref(), Some(&w[0]));
        let [said] = &said[..] else {
            panic!("{said:?}")
        };
        let words = format!(
            "counter of {counter} bytes, but the file's length fits one of {}",
            12 - counter
        );
        assert!(said.to_string().contains(&words), "{said}");
        // Four bytes on the other side of what fits are no matter of the counter.
        let n = if counter == 4 { 2 } else { 4 };
        let mut longer = values.to_vec();
        longer.resize(n, 1.0);
        let e = weights::from_bytes("w", &file(version, counter, &longer), g.clone());
        let e = e.unwrap_err().to_string();
        assert!(!e.contains("counter"), "{e}");
        let want = if n == 2 {
            "ends in layer 0"
        } else {
            "4 bytes (1 value) too many"
        };
        assert!(e.contains(want), "{e}");
    }
}

/// The words of Darknet's first headers: learning rate, momentum, decay.
fn first_header() -> [i32; 3] {
    [1e-5f32, 0.9, 0.0005].map(|v| v.to_bits().cast_signed())
}

#[test]
fn the_first_header_with_floats_for_a_version() {
    let layers = "[convolutional]\nfilters=2\nactivation=relu\n\
        [connected]\noutput=3\nactivation=linear\n";
    let conv = count(2 + 2 * 2);
    let plain: Vec<f32> = count(3 + 3 * 32);
    // [in][out] in the old file.
    let mut turned = plain[..3].to_vec();
    turned.extend((0..32).flat_map(|i| (0..3).map(move |o| (3 + o * 32 + i) as f32)));
    let new = file([0, 2, 5], 8, &[&conv[..], &plain].concat());
    let old = file(first_header(), 4, &[&conv[..], &turned].concat());
    for darknet in [Darknet::Pjreddie, Darknet::Alexey] {
        let g = graph(layers, darknet);
        let (want, none) = weights::from_bytes("new", &new, g.clone()).unwrap();
        assert!(none.is_empty(), "{none:?}");
        let (have, said) = weights::from_bytes("old", &old, g.clone()).unwrap();
        assert_eq!(have.weights, want.weights, "{darknet:?}");
        assert_eq!(have.digest, want.digest);
        // AlexeyAB's fork reads a counter of 8 bytes there, and all values shifted.
        let warned = said
            .iter()
            .any(|w| w.to_string().contains("Darknet's first"));
        assert_eq!(warned, darknet == Darknet::Alexey, "{said:?}");
        // Cut short it is still told from foreign files.
        let e = weights::from_bytes("cut", &old[..old.len() - 8], g.clone()).unwrap_err();
        assert!(e.to_string().contains("ends in layer 1"), "{e}");
        let e = weights::from_bytes("cut", &old[..16 + 4 * 6], g).unwrap_err();
        assert!(e.to_string().contains("exactly before layer 1"), "{e}");
    }
}

#[test]
fn any_version_is_read_if_the_length_fits() {
    let g = graph("[convolutional]\nfilters=1\n", Darknet::Alexey);
    let values = [0.5, 2.0, 3.0];
    for (version, counter) in [([200_000, 7, 0], 8), ([-1, 0, 0], 4), ([0, 2, i32::MAX], 8)] {
        let bytes = file(version, counter, &values);
        let (model, said) = weights::from_bytes("w", &bytes, g.clone()).unwrap();
        let w = model.weights.unwrap().swap_remove(0).unwrap();
        assert_eq!((w.bias[0], &w.weights[..]), (0.5, &[2.0, 3.0][..]));
        assert!(
            said[0].to_string().contains("no Darknet writes"),
            "{said:?}"
        );
        // Without that proof the version speaks against the file.
        let e = weights::from_bytes("w", &bytes[..bytes.len() - 8], g.clone()).unwrap_err();
        assert!(e.to_string().contains("the header says version"), "{e}");
    }
    let swapped = file([0, 2i32.swap_bytes(), 5i32.swap_bytes()], 8, &values);
    let e = weights::from_bytes("w", &swapped, g).unwrap_err();
    assert!(e.to_string().contains("bytes are swapped"), "{e}");
}

#[test]
fn what_was_read_counts_when_a_file_has_another_length() {
    let g = graph("[convolutional]\nfilters=1\n", Darknet::Alexey);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w");
    let bytes = file([0, 2, 0], 8, &[0.5, 2.0, 3.0]);
    std::fs::write(&path, &bytes).unwrap();
    let (model, _) = weights::load(&path, g.clone()).unwrap();
    assert_eq!(
        model.digest,
        weights::from_bytes("w", &bytes, g.clone())
            .unwrap()
            .0
            .digest
    );
    // Far longer than anything that is read.
    std::fs::write(&path, [&bytes[..], &[0; 200_000]].concat()).unwrap();
    let e = weights::load(&path, g).unwrap_err().to_string();
    assert!(
        e.contains("the file has 200032") && e.contains("200,000 bytes (50,000 values)"),
        "{e}"
    );
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
