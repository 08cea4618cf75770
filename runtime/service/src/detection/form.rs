//! The form that a client posts: a picture, and what it wants to know of it.

use bytes::Bytes;
use http_body_util::{BodyDataStream, Full};

use super::{CONFIDENCE, Names, OBJECTS, OBJECTS_MAX, Wish};

/// Most parts of a form.
const PARTS_MAX: usize = 32;
/// Longest text of a part, in bytes.
const TEXT_MAX: usize = 1 << 10;

/// Why a form is refused, in the words that clients know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// There is no picture.
    #[error("No valid image file found")]
    NoPicture,
    /// The confidence is no number, or a negative one.
    #[error("Invalid value for min_confidence")]
    Confidence,
    /// The confidence is above 1.
    #[error("min_confidence cannot be greater than 1")]
    ConfidenceAboveOne,
    /// The number of objects is none.
    #[error("Invalid value for limit: give a number from 1 to 1000")]
    Limit,
    /// There are no such names.
    #[error("Invalid value for labels: give common, raw or frigate")]
    Labels,
}

/// A form's fields. Those of the address come first, those of the body replace them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Form {
    picture: Option<Bytes>,
    texts: Vec<(String, String)>,
}

impl Form {
    /// Reads a body of the given `Content-Type`: a form of several parts, or a picture alone.
    pub async fn read(content_type: &str, body: Bytes, query: Vec<(String, String)>) -> Self {
        let mut form = Self {
            picture: None,
            texts: query,
        };
        let Ok(boundary) = multer::parse_boundary(content_type) else {
            let alone = ["image/", "application/octet-stream"];
            if alone.iter().any(|t| content_type.starts_with(t)) {
                form.picture = Some(body).filter(|b| !b.is_empty());
            }
            return form;
        };
        let mut parts = multer::Multipart::new(BodyDataStream::new(Full::new(body)), boundary);
        for _ in 0..PARTS_MAX {
            // What follows a broken part is not read: the fields so far count.
            let Ok(Some(part)) = parts.next_field().await else {
                break;
            };
            let name = part.name().unwrap_or_default().to_owned();
            let is_file = part.file_name().is_some();
            let Ok(bytes) = part.bytes().await else { break };
            // Whatever the first file is called, it is the picture; `image` and `image1` need no file name.
            if is_file || name == "image" || name == "image1" {
                if form.picture.is_none() && !bytes.is_empty() {
                    form.picture = Some(bytes);
                }
            } else if bytes.len() <= TEXT_MAX {
                let text = String::from_utf8_lossy(&bytes).trim().to_owned();
                form.texts.push((name, text));
            }
        }
        form
    }

    /// The last field of a name that says anything.
    pub fn text(&self, name: &str) -> Option<&str> {
        let named = self
            .texts
            .iter()
            .rev()
            .find(|(n, t)| n == name && !t.is_empty());
        named.map(|(_, text)| text.as_str())
    }

    /// What the form asks for.
    ///
    /// # Errors
    /// When a value makes no sense.
    pub fn wish(&self) -> Result<Wish, FormError> {
        let confidence = match self.text("min_confidence") {
            None => CONFIDENCE,
            Some(text) => match text.parse::<f32>() {
                Ok(n) if n > 1.0 => return Err(FormError::ConfidenceAboveOne),
                Ok(n) if n >= 0.0 => n,
                _ => return Err(FormError::Confidence),
            },
        };
        let objects = match self.text("limit") {
            None => OBJECTS,
            Some(text) => text.parse().map_err(|_| FormError::Limit)?,
        };
        if !(1..=OBJECTS_MAX).contains(&objects) {
            return Err(FormError::Limit);
        }
        let names = self.text("labels").map(Names::named);
        Ok(Wish {
            confidence,
            objects,
            names: names.map_or(Ok(Names::Common), |n| n.ok_or(FormError::Labels))?,
        })
    }

    /// The picture.
    ///
    /// # Errors
    /// When there is none.
    pub fn picture(self) -> Result<Bytes, FormError> {
        self.picture.ok_or(FormError::NoPicture)
    }
}
