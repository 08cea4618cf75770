//! What a request means.

use bytes::Bytes;
use serde_json::{Value, json};
use tessera_zmtp::Request;

use super::tensor::{self, TensorError};

/// Longest header that is read, in bytes.
const HEADER_BYTES_MAX: usize = 64 << 10;
/// Longest name of a model that is repeated, in letters.
const NAME_LETTERS_MAX: usize = 256;

/// A request of the plug-in.
#[derive(Debug, PartialEq)]
pub enum Ask {
    /// Is there a model of this name? Asked before the first tensor, and after a time-out.
    Model(String),
    /// The model as a file: comes only to those who say that they have none, and is thrown away.
    ModelData(String),
    /// What is in this picture? As a file that the edge can read.
    Tensor {
        /// The picture.
        picture: Bytes,
        /// Its height and width.
        size: [usize; 2],
    },
    /// Nothing that the plug-in would ask.
    Nonsense(Nonsense),
}

/// What is wrong with a request.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Nonsense {
    /// Its number of frames.
    #[error("it has {0} frames")]
    Frames(usize),
    /// Its header.
    #[error("its header is no JSON object")]
    Header,
    /// Its tensor.
    #[error("{0}")]
    Tensor(#[from] TensorError),
    /// It is longer than anything that is kept.
    #[error("it is too long")]
    Long,
}

impl Ask {
    /// Reads a request.
    pub fn read(request: &Request) -> Self {
        Self::of(request).unwrap_or_else(Self::Nonsense)
    }

    fn of(request: &Request) -> Result<Self, Nonsense> {
        let header = request.frames.first().ok_or(Nonsense::Frames(0))?;
        let header = match header.len() <= HEADER_BYTES_MAX {
            true => serde_json::from_slice::<Value>(header).map_err(|_| Nonsense::Header)?,
            false => return Err(Nonsense::Header),
        };
        let header = header.as_object().ok_or(Nonsense::Header)?;
        let says = |key: &str| header.get(key).and_then(Value::as_bool) == Some(true);
        let name = || {
            let name = header.get("model_name").and_then(Value::as_str);
            name.unwrap_or_default()
                .chars()
                .take(NAME_LETTERS_MAX)
                .collect()
        };
        match &request.frames[..] {
            [_] if says("model_request") => Ok(Self::Model(name())),
            // Of the file nothing is read, so it may be of any length.
            [_, _] if says("model_data") => Ok(Self::ModelData(name())),
            _ if request.is_cut => Err(Nonsense::Long),
            [_, data] => {
                let (picture, size) = tensor::picture(header, data)?;
                Ok(Self::Tensor { picture, size })
            }
            other => Err(Nonsense::Frames(other.len())),
        }
    }
}

/// The answer to a request for a model: it is there, whatever it is called.
pub fn model(name: &str) -> Value {
    json!({
        "model_available": true,
        "model_loaded": true,
        "model_name": name,
        "message": "Tessera computes its own network; it needs no model file",
    })
}

/// The answer to a model's file.
pub fn model_data(name: &str) -> Value {
    json!({
        "model_saved": true,
        "model_loaded": true,
        "model_name": name,
        "message": "Tessera computes its own network; the file is not used",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_what_their_headers_say() {
        let of = |frames: &[&[u8]]| {
            let frames = frames.iter().map(|f| Bytes::copy_from_slice(f));
            let message = std::iter::once(Bytes::new()).chain(frames).collect();
            Ask::read(&Request::new(message, &[]).unwrap())
        };
        let model = br#"{"model_request": true, "model_name": "tessera.model"}"#;
        assert_eq!(of(&[model]), Ask::Model("tessera.model".into()));
        assert_eq!(
            of(&[br#"{"model_request": true}"#]),
            Ask::Model(String::new())
        );
        let data = br#"{"model_data": true, "model_name": "m"}"#;
        assert_eq!(of(&[data, &[0; 999]]), Ask::ModelData("m".into()));
        let tensor = br#"{"shape": [1, 1, 2, 3], "dtype": "uint8", "model_type": "yologeneric"}"#;
        assert!(matches!(
            of(&[tensor, b"abcdef"]),
            Ask::Tensor { size: [1, 2], .. }
        ));
        for (frames, wrong) in [
            (&[&b""[..]][..], Nonsense::Header),
            (&[b"{"], Nonsense::Header),
            (&[b"[]"], Nonsense::Header),
            (&[b"{}"], Nonsense::Frames(1)),
            (&[tensor], Nonsense::Frames(1)),
            (&[tensor, b"abcdef", b""], Nonsense::Frames(3)),
            (&[br#"{"model_request": "yes"}"#], Nonsense::Frames(1)),
        ] {
            assert_eq!(of(frames), Ask::Nonsense(wrong), "{frames:?}");
        }
        assert!(matches!(
            of(&[tensor, b"abcde"]),
            Ask::Nonsense(Nonsense::Tensor(_))
        ));
    }
}
