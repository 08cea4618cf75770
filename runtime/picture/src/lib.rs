//! Frames as network inputs: picture files, Darknet's own resizing (`docs/darknet.md#pictures`), and raw
//! tensors.
//!
//! A picture file is untrusted. Before anything is decoded, its contents tell its format, its headers
//! tell whether it is whole, and the memory that decoding takes is compared with what is free.
//!
//! | module | is |
//! |---|---|
//! | `load`, `file`, `error` | opening, checking and decoding |
//! | `jpeg`, `pnm` | whether a file of that format is whole |
//! | `budget` | the memory that decoding may take |
//! | `orientation`, `pixels` | the decoded picture, turned upright as its pixels are read |
//! | `letterbox`, `resize` | from a picture to `[h, w, c]` values |
//! | `tensor` | raw C, H, W bytes |

#![forbid(unsafe_code)]

mod budget;
mod error;
mod file;
mod jpeg;
mod letterbox;
mod load;
mod orientation;
mod pixels;
mod pnm;
mod resize;
mod tensor;

pub use error::PictureError;
pub use file::open;
pub use jpeg::Damage;
pub use letterbox::letterbox_size;
pub use load::{Options, check, check_bytes, load, load_bytes, load_with};
pub use pixels::Picture;
pub use resize::to_input;
pub use tensor::{TensorSizeError, chw_from_tensor, tensor_from_chw};
