//! Overlap of boxes (Darknet `box.c`). Boxes are centre x, centre y, width, height.

fn overlap(c1: f32, s1: f32, c2: f32, s2: f32) -> f32 {
    let left = (c1 - s1 / 2.0).max(c2 - s2 / 2.0);
    let right = (c1 + s1 / 2.0).min(c2 + s2 / 2.0);
    right - left
}

/// Intersection over union, 0..1; 0 when a box is empty.
pub fn iou(a: [f32; 4], b: [f32; 4]) -> f32 {
    let w = overlap(a[0], a[2], b[0], b[2]);
    let h = overlap(a[1], a[3], b[1], b[3]);
    let both = if w < 0.0 || h < 0.0 { 0.0 } else { w * h };
    let union = a[2] * a[3] + b[2] * b[3] - both;
    if both == 0.0 || union == 0.0 {
        0.0
    } else {
        both / union
    }
}

/// IoU minus the normalised squared distance of the centres to the power `beta`.
pub fn distance_iou(a: [f32; 4], b: [f32; 4], beta: f32) -> f32 {
    let span = |k: usize| {
        let lo = (a[k] - a[k + 2] / 2.0).min(b[k] - b[k + 2] / 2.0);
        let hi = (a[k] + a[k + 2] / 2.0).max(b[k] + b[k + 2] / 2.0);
        hi - lo
    };
    let (w, h) = (span(0), span(1));
    let diagonal = w * w + h * h;
    let plain = iou(a, b);
    if diagonal == 0.0 {
        return plain;
    }
    let (dx, dy) = (a[0] - b[0], a[1] - b[1]);
    plain - ((dx * dx + dy * dy) / diagonal).powf(beta)
}
