//! What diagnostics advise, tried: what is said to help does help, and nothing is said that is not so.

use tessera_plan::graph::{Activation, Darknet, Graph, Op};
use tessera_planner::cfg::{
    self,
    diag::{Diagnostic, Severity},
};

fn read(text: &str) -> (Option<Graph>, Vec<Diagnostic>) {
    cfg::read(text.as_bytes(), "net", Darknet::Alexey)
}

/// Reads a cfg that is accepted; gives the network and the warnings.
#[track_caller]
fn accepted(text: &str) -> (Graph, Vec<String>) {
    let (graph, said) = read(text);
    let said = said.iter().map(|d| d.message.clone()).collect();
    (
        graph.unwrap_or_else(|| panic!("refused: {said:?}\n{text}")),
        said,
    )
}

/// Reads a cfg with one mistake.
#[track_caller]
fn mistake(text: &str) -> Diagnostic {
    let (graph, mut said) = read(text);
    assert!(graph.is_none() && said.len() == 1, "{said:?}\n{text}");
    said.remove(0)
}

fn net(width: usize, height: usize, layers: &str) -> String {
    format!("[net]\nwidth={width}\nheight={height}\nchannels=3\n{layers}")
}

fn conv(strides: &str) -> String {
    format!("[convolutional]\nfilters=8\nsize=3\npad=1\nactivation=linear\n{strides}")
}

/// Convolutions of stride 2, then up again, joined with the maps of the way down.
fn pyramid(levels: usize) -> String {
    let ups = (0..levels - 1)
        .rev()
        .map(|level| format!("[upsample]\n[route]\nlayers=-1,{level}\n"));
    conv("stride=2\n").repeat(levels) + &ups.collect::<String>()
}

#[test]
fn the_size_that_a_network_needs_is_said_and_fits() {
    let third = conv("") + &conv("stride=3\n") + "[upsample]\nstride=3\n[route]\nlayers=-1,0\n";
    let apart = conv("stride_x=2\n") + &conv("stride=2\n") + "[upsample]\n[route]\nlayers=-1,0\n";
    let passed = conv("stride=2\n") + "[reorg]\nstride=2\n";
    let added = conv("") + &conv("stride=2\n") + "[shortcut]\nfrom=-2\n";
    let multiplied = conv("") + &conv("stride=2\n") + "[upsample]\n[sam]\nfrom=0\n";
    for (given, layers, multiples, fits) in [
        // YOLO's usual networks, and those with a sixth level.
        ((608, 600), pyramid(5), "32", (608, 608)),
        ((608, 416), pyramid(6), "64", (640, 448)),
        ((608, 608), pyramid(7), "128", (640, 640)),
        ((33, 32), pyramid(2), "4", (36, 32)),
        ((50, 48), third, "3", (51, 48)),
        ((34, 33), apart, "4 and its height one of 2", (36, 34)),
        ((50, 50), passed, "4", (52, 52)),
        ((33, 33), added, "2", (34, 34)),
        ((33, 33), multiplied, "2", (34, 34)),
    ] {
        let help = mistake(&net(given.0, given.1, &layers)).help;
        let expected = format!("{multiples}, as in {} x {}", fits.0, fits.1);
        assert!(help.ends_with(&expected), "{help}: {expected}");
        let (_, said) = accepted(&net(fits.0, fits.1, &layers));
        assert_eq!(said, [""; 0]);
    }
}

#[test]
fn no_size_is_advised_where_none_fits() {
    let halved = conv("") + &conv("stride=2\n") + "[route]\nlayers=-1,0\n";
    let help = mistake(&net(33, 32, &halved)).help;
    assert!(help.contains("check `layers`"), "{help}");
    // One that any size spoils beside one that a size mends.
    let both = halved + &pyramid(2).replace("layers=-1,0", "layers=-1,3");
    let (graph, said) = read(&net(33, 33, &both));
    assert!(graph.is_none());
    let helps: Vec<&str> = said.iter().map(|d| d.help.as_str()).collect();
    assert!(helps[0].contains("check `layers`"), "{helps:?}");
}

#[test]
fn activations_under_other_names_are_taken_with_a_warning() {
    let activation = |name: &str| net(32, 32, &conv("").replace("linear", name));
    for (name, meant) in [
        ("silu", Activation::Swish),
        ("SiLU", Activation::Swish),
        ("Leaky", Activation::Leaky),
        ("LINEAR", Activation::Linear),
        ("Hard_Mish", Activation::HardMish),
    ] {
        let (graph, said) = accepted(&activation(name));
        let Op::Conv(conv) = &graph.nodes[0].op else {
            panic!("{:?}", graph.nodes[0].op)
        };
        assert_eq!(conv.activation, meant, "{name}");
        assert!(
            said.len() == 1 && said[0].contains(&format!("`{name}` is taken as {}", meant.name())),
            "{said:?}"
        );
    }
    // Names that nobody wrote for sure, or of functions that Darknet lacks.
    for (name, help) in [
        ("sellu", "did you mean selu?"),
        ("celu", "Darknet has no celu"),
        ("Sigmoid", "Darknet calls Sigmoid logistic"),
    ] {
        let said = mistake(&activation(name));
        assert!(said.help.starts_with(help), "{said}");
    }
    // The original knows no swish, whatever it is called.
    let (graph, said) = cfg::read(activation("silu").as_bytes(), "net", Darknet::Pjreddie);
    assert!(graph.is_none() && said.len() == 1, "{said:?}");
    assert!(said[0].message.contains("does not know"), "{}", said[0]);
}

#[test]
fn values_of_another_case_are_recognised() {
    let head = "[convolutional]\nfilters=6\n[yolo]\nclasses=1\n";
    let added = format!("{}[shortcut]\nfrom=0\n", conv("").repeat(2));
    for (layers, help) in [
        (format!("{head}nms_kind=GreedyNMS\n"), "greedynms"),
        (format!("{added}weights_type=PER_CHANNEL\n"), "per_channel"),
        (format!("{added}weights_normalization=Softmax\n"), "softmax"),
        (
            head.replace("yolo", "Gaussian_yolo").replace("=6", "=10") + "yolo_point=Center\n",
            "center",
        ),
    ] {
        let said = mistake(&net(32, 32, &layers));
        assert_eq!(said.help, format!("did you mean {help}?"));
    }
    let (_, said) = read(&net(32, 32, &(conv("") + "DILATION=1\n")));
    assert!(
        said[0].help.contains("did you mean `dilation`"),
        "{}",
        said[0]
    );
}

/// Every kind of section with all keys that count, before what it stands on.
const SECTIONS: [&str; 21] = [
    "[convolutional]\nfilters=8\nsize=3\nstride=1\nstride_x=1\nstride_y=1\npad=1\npadding=1\ndilation=1\ngroups=1\n\
     batch_normalize=1\ncbn=0\nactivation=leaky\nantialiasing=0\nflipped=0\nxnor=0\nbin_output=0\ndontload=0\n\
     dontloadscales=0\nshare_index=0\n",
    "[maxpool]\nsize=2\nstride=2\nstride_x=2\nstride_y=2\npadding=1\nmaxpool_depth=0\nout_channels=1\n\
     antialiasing=0\n",
    "[local_avgpool]\nsize=2\nstride=2\nstride_x=2\nstride_y=2\npadding=1\n",
    "[route]\nlayers=-1,0\ngroups=1\ngroup_id=0\n",
    "[upsample]\nstride=2\nscale=1\n",
    "[reorg]\nstride=2\nreverse=0\nflatten=0\nextra=0\n",
    "[reorg]\nstride=2\nreverse=0\nflatten=1\nextra=1\n",
    "[reorg3d]\nstride=2\nreverse=0\n",
    "[shortcut]\nfrom=0\nactivation=linear\nweights_type=none\nweights_normalization=none\nalpha=1\nbeta=1\n",
    "[sam]\nfrom=0\nactivation=linear\n",
    "[scale_channels]\nfrom=0\nscale_wh=0\nactivation=linear\n",
    "[connected]\noutput=8\nactivation=linear\nbatch_normalize=1\n",
    "[local]\nfilters=8\nsize=3\nstride=1\npad=1\nactivation=linear\n",
    "[crop]\ncrop_height=8\ncrop_width=8\nnoadjust=1\n",
    "[activation]\nactivation=leaky\n",
    "[normalization]\nsize=5\nalpha=0.1\nbeta=0.7\nkappa=1\n",
    "[softmax]\ngroups=1\ntemperature=1\ntree=a.tree\nspatial=1\n",
    "[yolo]\nclasses=3\nnum=2\nmask=0\nanchors=1,2,3,4\nscale_x_y=1\nnew_coords=0\nnms_kind=default\nbeta_nms=0.6\n",
    "[Gaussian_yolo]\nclasses=1\nnum=2\nmask=0\nanchors=1,2,3,4\nscale_x_y=1\nnms_kind=default\nbeta_nms=0.6\n\
     yolo_point=center\n",
    "[region]\nclasses=3\nnum=1\ncoords=4\nanchors=1,2\nsoftmax=1\ntree=a.tree\nnms_kind=default\nbeta_nms=0.6\n",
    "[detection]\nclasses=3\ncoords=4\nnum=1\nside=7\nsoftmax=0\nsqrt=1\n",
];

#[test]
fn keys_behind_a_mistake_are_not_called_unknown() {
    let before = conv("").repeat(2);
    let mut tried = 0;
    for section in SECTIONS {
        let lines: Vec<&str> = section.lines().collect();
        for broken in 1..lines.len() {
            for value in ["1 // of mine", "0", "-9", "99999", ""] {
                let mut lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
                let equals = lines[broken].find('=').unwrap();
                lines[broken].truncate(equals + 1);
                lines[broken] += value;
                let (_, said) = read(&net(32, 32, &format!("{before}{}\n", lines.join("\n"))));
                let unknown = said.iter().find(|d| d.message.contains("unknown key"));
                assert!(
                    unknown.is_none(),
                    "{}\n{}",
                    unknown.unwrap(),
                    lines.join("\n")
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 500, "{tried}");
    // Others are, also behind a mistake.
    let (_, said) = read(&net(32, 32, &(conv("stride=x\n") + "dilations=2\n")));
    assert_eq!(
        said[1].message,
        "unknown key `dilations` in [convolutional]"
    );
}

#[test]
fn keys_for_training_may_lack_a_value() {
    let word = |key: &str| format!("key `{key}` has no value and is ignored");
    for key in [
        "steps",
        "scales",
        "policy",
        "batch",
        "momentum",
        "burn_in",
        "max_batches",
        "mosaic",
    ] {
        let text = net(32, 32, &conv("")).replace("channels", &format!("{key}=\nchannels"));
        assert_eq!(accepted(&text).1, [word(key)]);
    }
    for (layers, key) in [
        (conv("learning_rate=\n"), "learning_rate"),
        (conv("onlyforward=\n"), "onlyforward"),
        (conv("") + "[cost]\ntype=\n", "type"),
        (conv("") + "[dropout]\nprobability=\n", "probability"),
        (
            "[convolutional]\nfilters=6\n[yolo]\nclasses=1\nignore_thresh =\n".into(),
            "ignore_thresh",
        ),
        // Whatever nobody asks for.
        (conv("colour=\n"), "colour"),
    ] {
        assert_eq!(accepted(&net(32, 32, &layers)).1, [word(key)]);
    }
}

#[test]
fn keys_that_count_need_their_value_and_lack_it_once() {
    for (text, key) in [
        (
            net(32, 32, &conv("")).replace("width=32", "width="),
            "width",
        ),
        (
            net(32, 32, &conv("").replace("filters=8", "filters=")),
            "filters",
        ),
        (net(32, 32, &(conv("") + "[route]\nlayers=\n")), "layers"),
        (net(32, 32, &(conv("") + "[shortcut]\nfrom=\n")), "from"),
        (net(32, 32, &(conv("") + "[sam]\nfrom=\n")), "from"),
    ] {
        assert_eq!(mistake(&text).message, format!("key `{key}` has no value"));
    }
    // Darknet drops the line without a value, so the other one counts, wherever it stands.
    for twice in ["filters=\nfilters=5\n", "filters=5\nfilters=\n"] {
        let (graph, said) = accepted(&net(32, 32, &conv("").replace("filters=8\n", twice)));
        assert_eq!(graph.layers[0].shape.c, 5, "{twice}");
        assert_eq!(said.len(), 1, "{said:?}");
    }
}

#[test]
fn missing_anchors_are_a_half_as_in_darknet() {
    let yolo = |anchors: &str| {
        format!("[convolutional]\nfilters=18\n[yolo]\nclasses=1\nnum=3\nanchors={anchors}\n")
    };
    for (anchors, pairs) in [
        ("1,2, 3,4, 5,6", [(1., 2.), (3., 4.), (5., 6.)]),
        ("1,2, 3,4, 5", [(1., 2.), (3., 4.), (5., 0.5)]),
        ("1,2, 3", [(1., 2.), (3., 0.5), (0.5, 0.5)]),
    ] {
        let (graph, said) = accepted(&net(32, 32, &yolo(anchors)));
        assert_eq!(graph.heads[0].anchors, pairs);
        let short = said
            .iter()
            .filter(|m| m.contains("anchor values for num=3"));
        assert_eq!(short.count(), usize::from(anchors.split(',').count() < 6));
    }
    let region = "[convolutional]\nfilters=12\n[region]\nclasses=1\nnum=2\nanchors=1,2,3\n";
    let (graph, said) = accepted(&net(32, 32, region));
    assert_eq!(graph.heads[0].anchors, [(1., 2.), (3., 0.5)]);
    assert_eq!(said.len(), 1, "{said:?}");
    // An entry that is no number is that, not a short list.
    assert!(
        mistake(&net(32, 32, &yolo("1,2,x,4,5,6")))
            .message
            .contains("not a number")
    );
}

#[test]
fn networks_of_rows_of_numbers_are_refused_by_name() {
    // As Darknet's own recurrent cfgs begin.
    for layers in [
        "[rnn]\noutput=10\n[connected]\noutput=3\n[softmax]\n[cost]\n",
        "[gru]\noutput=10\n",
        "[lstm]\noutput=10\n",
        "[connected]\noutput=3\n",
    ] {
        let (graph, said) = read(&format!("[net]\nbatch=1\ninputs=256\n{layers}"));
        assert!(graph.is_none());
        assert!(
            said.iter().all(|d| d.severity == Severity::Unsupported),
            "{said:?}"
        );
        assert!(said[0].message.contains("`inputs`"), "{}", said[0]);
    }
}
