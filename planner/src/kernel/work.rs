//! What a convolution has to do, whatever computes it.

/// What one row of a convolution's output has to do, to weigh block sizes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    /// Output channels of a group; all of them if depthwise.
    pub filters: usize,
    /// Multiply-adds per output value.
    pub depth: usize,
    /// Every output channel reads one input channel.
    pub depthwise: bool,
}
