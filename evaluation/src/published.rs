//! What the paper says: values of its figures, read from the drawings' coordinates (good to about 0.5 %). Sizes in MiB,
//! times in seconds.

/// Names of the 16 layers.
pub const LAYERS: [&str; 16] = [
    "conv1", "max1", "conv2", "max2", "conv3", "conv4", "conv5", "max3", "conv6", "conv7", "conv8",
    "max4", "conv9", "conv10", "conv11", "conv12",
];

/// Figure 11: memory of each layer, data alone: unpartitioned, BODP-4, FTP 3x3, FTP 5x5.
pub const FIGURE_11: [[f64; 4]; 16] = [
    [49.36, 12.50, 14.20, 8.09],
    [56.41, 14.10, 16.02, 9.08],
    [33.85, 8.69, 9.62, 5.46],
    [28.20, 7.06, 7.82, 4.40],
    [16.92, 4.46, 4.70, 2.64],
    [16.92, 4.23, 4.46, 2.47],
    [16.92, 4.46, 4.46, 2.47],
    [14.10, 3.53, 3.53, 1.92],
    [8.47, 2.34, 2.12, 1.15],
    [8.47, 2.12, 1.90, 1.00],
    [8.47, 2.34, 1.90, 1.00],
    [7.06, 1.86, 1.41, 0.71],
    [4.23, 1.34, 0.85, 0.43],
    [4.23, 1.11, 0.66, 0.30],
    [4.23, 1.34, 0.66, 0.30],
    [4.23, 1.11, 0.50, 0.19],
];

/// Figure 11: the largest layer with the weights of all 16.
pub const FIGURE_11_TOTAL: [f64; 4] = [69.5, 27.2, 29.1, 22.1];

/// Values on one to six devices.
pub type Devices = [f64; 6];

/// Values of a figure, on grids of 3x3, 4x4 and 5x5; `None` where they were not read.
pub type OfGrids = [Option<Devices>; 3];

/// Figure 12: traffic of a frame by stealing, on grids of 3x3, 4x4 and 5x5.
pub const WST_MIB: OfGrids = [
    Some([1.41, 5.17, 6.41, 6.81, 7.56, 7.98]),
    Some([1.41, 5.98, 7.93, 8.80, 9.29, 9.71]),
    Some([1.41, 7.56, 9.67, 10.95, 11.23, 11.69]),
];

/// Figure 13: latency of a frame by stealing, on grids of 3x3, 4x4 and 5x5.
pub const WST_S: OfGrids = [
    Some([24.41, 13.42, 9.94, 8.60, 6.30, 5.59]),
    Some([31.08, 17.96, 12.38, 10.17, 8.50, 7.24]),
    Some([38.68, 21.23, 15.09, 11.60, 10.52, 9.24]),
];

/// Figure 12: traffic of a frame by stealing with reused borders, on grids of 3x3, 4x4 and 5x5.
pub const REUSE_MIB: OfGrids = [
    Some([3.13, 6.04, 7.11, 8.82, 9.44, 9.47]),
    Some([3.71, 7.91, 9.04, 10.06, 10.07, 11.18]),
    Some([4.11, 8.67, 10.55, 10.79, 11.55, 12.62]),
];

/// Figure 13: latency of a frame by stealing with reused borders, on grids of 3x3, 4x4 and 5x5.
pub const REUSE_S: OfGrids = [
    Some([18.15, 11.48, 7.53, 7.19, 6.34, 6.25]),
    Some([20.88, 11.95, 8.51, 8.20, 7.22, 7.10]),
    Some([24.88, 14.32, 10.15, 7.79, 6.93, 7.03]),
];

/// Figure 12: traffic of a frame by work sharing: the same on any number of devices.
pub const WSH_MIB: OfGrids = [Some([13.79; 6]), Some([16.23; 6]), Some([18.99; 6])];

/// Figure 13: latency of a frame by work sharing, on grids of 3x3, 4x4 and 5x5.
pub const WSH_S: OfGrids = [
    Some([25.86, 15.60, 11.01, 9.70, 8.12, 8.13]),
    Some([32.50, 17.53, 13.52, 11.21, 9.32, 8.72]),
    Some([40.47, 22.59, 16.02, 13.06, 11.55, 10.27]),
];

/// Figure 12: traffic of a frame by MoDNN's partition, beside every grid.
pub const BODP_MIB: OfGrids = [Some([9.87, 10.93, 12.87, 13.92, 17.05, 19.59]); 3];

/// Figure 13: latency of a frame by MoDNN's partition, beside every grid.
pub const BODP_S: OfGrids = [Some([17.02, 10.20, 8.50, 7.57, 7.82, 8.08]); 3];

/// Figure 14: the longest latency when one to six of six devices bring a frame each, on grids of 3x3, 4x4 and 5x5. Frames per
/// second are the sources divided by it. The 4x4 bars are not in our reading of the drawing.
pub const WST_SOURCES_S: OfGrids = [
    Some([5.6, 10.4, 14.7, 18.6, 22.3, 25.0]),
    None,
    Some([9.2, 15.8, 22.7, 28.4, 33.7, 38.7]),
];

/// The same by stealing with reused borders.
pub const REUSE_SOURCES_S: OfGrids = [
    Some([6.3, 9.7, 11.5, 13.9, 16.9, 18.7]),
    None,
    Some([7.0, 11.1, 15.6, 19.2, 22.8, 25.2]),
];

/// The same by work sharing.
pub const WSH_SOURCES_S: OfGrids = [
    Some([8.1, 16.4, 24.5, 32.8, 40.8, 49.7]),
    None,
    Some([10.3, 21.1, 30.8, 42.6, 51.1, 62.9]),
];

/// The same by MoDNN's partition, beside every grid.
pub const BODP_SOURCES_S: OfGrids = [Some([8.1, 16.4, 23.7, 32.0, 39.5, 48.3]); 3];

/// Seconds of each layer on one core of a Raspberry Pi 3, by NNPACK (Figure 1).
pub const LAYER_S: [f64; 16] = [
    1.20, 0.39, 2.26, 0.19, 1.66, 0.29, 1.66, 0.10, 1.37, 0.22, 1.36, 0.05, 1.25, 0.17, 1.24, 0.17,
];

/// Figure 15: layers that are fused.
pub const DEPTHS: [usize; 3] = [4, 8, 16];

/// What Figure 15 says of so many layers on six devices, by stealing with reused borders, on grids of 3x3, 4x4 and 5x5.
#[derive(Clone, Copy, Debug)]
pub struct Depth {
    /// Memory of a device, in MiB.
    pub memory_mib: [f64; 3],
    /// Traffic of a frame, in MiB.
    pub mib: [f64; 3],
    /// How many times as fast as one device.
    pub speedup: [f64; 3],
}

/// Figure 15, in the order of [`DEPTHS`].
pub const FIGURE_15: [Depth; 3] = [
    Depth {
        memory_mib: [16.1, 11.7, 9.2],
        mib: [8.0, 8.3, 9.2],
        speedup: [1.74, 1.72, 1.56],
    },
    Depth {
        memory_mib: [16.7, 12.3, 9.8],
        mib: [7.1, 8.0, 9.2],
        speedup: [2.81, 2.64, 2.47],
    },
    Depth {
        memory_mib: [29.1, 24.7, 22.1],
        mib: [9.5, 11.2, 12.6],
        speedup: [2.90, 2.70, 2.58],
    },
];
