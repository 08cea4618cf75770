//! Maps boxes from the network's input back to the picture (`docs/darknet.md#image-frame`).

use tessera_picture::letterbox_size;

/// The size of the picture that a tensor was made from, and how the picture was scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageFrame {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Whether the picture was letterboxed instead of stretched.
    pub letterbox: bool,
}

impl ImageFrame {
    /// Converts a box relative to the network's input into a box relative to the picture.
    pub fn correct(&self, b: [f32; 4], net_w: u32, net_h: u32) -> [f32; 4] {
        if !self.letterbox {
            return b;
        }
        let (nw, nh) = letterbox_size(self.width, self.height, net_w, net_h);
        let (nw, nh, w, h) = (nw as f32, nh as f32, net_w as f32, net_h as f32);
        [
            (b[0] - (w - nw) / 2.0 / w) / (nw / w),
            (b[1] - (h - nh) / 2.0 / h) / (nh / h),
            b[2] * w / nw,
            b[3] * h / nh,
        ]
    }

    /// Converts a relative box into left, top, width and height in pixels, rounded but not clipped.
    pub fn pixels(&self, b: [f32; 4]) -> [i64; 4] {
        let (w, h) = (self.width as f32, self.height as f32);
        let round = |v: f32| if v.is_finite() { v.round() as i64 } else { 0 };
        [
            round((b[0] - b[2] / 2.0) * w),
            round((b[1] - b[3] / 2.0) * h),
            round(b[2] * w),
            round(b[3] * h),
        ]
    }
}
