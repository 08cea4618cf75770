//! What is wrong, or odd, about a weights file.

/// Why a weights file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file cannot be opened or read.
    #[error("cannot read the weights")]
    Io(#[from] std::io::Error),
    /// The path leads to a folder or a device.
    #[error("this is no regular file; give a Darknet .weights file")]
    NotAFile,
    /// It is something else.
    #[error("this looks like {what}, not a Darknet weights file; {help}")]
    Foreign {
        /// What the file looks like.
        what: &'static str,
        /// What to do.
        help: &'static str,
    },
    /// Shorter than any header.
    #[error("the file has {found} bytes, a Darknet header alone has 16 or 20; fetch it again")]
    NoHeader {
        /// Bytes in the file.
        found: u64,
    },
    /// The header's version makes no sense, and the length does not prove the file right.
    #[error(
        "the header says version {major}.{minor}.{revision}: this is no Darknet weights file, or its bytes are swapped"
    )]
    Version {
        /// First word of the header.
        major: i32,
        /// Second word of the header.
        minor: i32,
        /// Third word of the header.
        revision: i32,
    },
    /// The length does not fit the cfg.
    #[error("the cfg needs {expected} bytes of weights, the file has {found}; {help}")]
    Size {
        /// Bytes that header and layers take.
        expected: u64,
        /// Bytes in the file.
        found: u64,
        /// The layer in which the file ends, and what that suggests.
        help: String,
    },
    /// A value that no trained network has.
    #[error(
        "layer {layer}: {array}[{index}] is {value}; the file is damaged or belongs to another cfg"
    )]
    Value {
        /// cfg layer.
        layer: usize,
        /// Name of the array.
        array: &'static str,
        /// Index in the array.
        index: usize,
        /// The value.
        value: f32,
    },
}

/// Something odd about weights that can be used.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightsWarning {
    /// The cfg layer; `None` for the header.
    pub layer: Option<usize>,
    /// What is odd about it.
    pub message: String,
}

impl std::fmt::Display for WeightsWarning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.layer {
            Some(layer) => write!(f, "layer {layer}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}
