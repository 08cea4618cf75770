//! Detection heads and NMS: what the runtime needs to read boxes off the last maps.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::graph::{Head, HeadKind, NmsKind};

use super::Cx;
use crate::names::{float, int};

/// All heads, in the order of the cfg.
pub(super) fn heads(cx: &Cx) -> TokenStream {
    let heads = &cx.scope.plan.network.heads;
    heads.iter().map(|h| head(cx, h)).collect()
}

fn head(cx: &Cx, h: &Head) -> TokenStream {
    let (ty, kind) = (cx.ty("Head"), kind(cx, h.kind));
    let (layer, map, classes) = (int(h.layer), cx.tensor(h.tensor), int(h.classes));
    let anchors = h.anchors.iter().map(|(w, h)| {
        let (w, h) = (float(*w), float(*h));
        quote!((#w, #h))
    });
    quote! {
        #ty {
            layer: #layer,
            tensor: #map,
            classes: #classes,
            anchors: &[#(#anchors),*],
            kind: #kind,
        },
    }
}

fn kind(cx: &Cx, kind: HeadKind) -> TokenStream {
    let ty = cx.ty("HeadKind");
    match kind {
        HeadKind::Yolo { new_coords } => quote!(#ty::Yolo { new_coords: #new_coords }),
        HeadKind::Gaussian { point } => {
            let p = int(usize::from(point.unsigned_abs()));
            let minus = (point < 0).then(|| quote!(-));
            quote!(#ty::Gaussian { point: #minus #p })
        }
        HeadKind::Region => quote!(#ty::Region),
        HeadKind::Detection { side, num, sqrt } => {
            let [side, num] = [side, num].map(int);
            quote!(#ty::Detection { side: #side, num: #num, sqrt: #sqrt })
        }
    }
}

/// NMS as the last head asks for it.
pub(super) fn nms(cx: &Cx) -> TokenStream {
    let (ty, last) = (cx.ty("NmsKind"), cx.scope.plan.network.heads.last());
    match last.map(|h| h.nms).unwrap_or_default() {
        NmsKind::Default => quote!(#ty::Default),
        NmsKind::Greedy => quote!(#ty::Greedy),
        NmsKind::Diou { beta } => {
            let beta = float(beta);
            quote!(#ty::Diou { beta: #beta })
        }
    }
}
