//! URLs of streams, whose secrets nobody is shown.

use std::fmt;

use super::endings::{PICTURES, VIDEOS, ending};

/// Kinds of streams that ffmpeg reads over a network.
pub(super) const SCHEMES: [&str; 10] = [
    "http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp",
];

/// A URL, perhaps with a user's name and password in it. Shown, it has neither them nor what stands behind `?`.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamUrl {
    text: String,
    /// Where what stands behind `://` begins.
    after_scheme: usize,
}

impl StreamUrl {
    /// Takes `text`, whose scheme ends before `after_scheme - 3`.
    pub(super) const fn new(text: String, after_scheme: usize) -> Self {
        Self { text, after_scheme }
    }

    /// True if its path ends as a picture's or a video's does: it has an end.
    pub fn is_file(&self) -> bool {
        let path = self.text.split(['?', '#']).next().unwrap_or_default();
        let is_file =
            ending(path).is_some_and(|e| PICTURES.contains(&&*e) || VIDEOS.contains(&&*e));
        is_file && self.scheme().starts_with("http")
    }

    /// The whole text, for whoever opens the stream and nobody else.
    pub fn secret(&self) -> &str {
        &self.text
    }

    /// The scheme, in small letters.
    pub fn scheme(&self) -> String {
        self.text[..self.after_scheme - 3].to_ascii_lowercase()
    }

    /// User and password, as they stand before `@`; `None` without.
    fn login(&self) -> Option<&str> {
        let rest = &self.text[self.after_scheme..];
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        authority.rfind('@').map(|at| &authority[..at])
    }

    /// What stands behind the first `?`; `None` without.
    fn query(&self) -> Option<&str> {
        self.text.split_once('?').map(|(_, query)| query)
    }

    /// True if it holds what others must not see.
    pub fn is_secret(&self) -> bool {
        self.login().is_some() || self.query().is_some()
    }

    /// The host, without a port.
    pub fn host(&self) -> &str {
        let from = self.after_scheme + self.login().map_or(0, |l| l.len() + 1);
        let rest = &self.text[from..];
        let end = if rest.starts_with('[') {
            rest.find(']').map_or(rest.len(), |at| at + 1)
        } else {
            rest.find([':', '/', '?', '#']).unwrap_or(rest.len())
        };
        &rest[..end]
    }

    /// `text` without the secrets of this URL, wherever they stand in it.
    pub fn masked(&self, text: &str) -> String {
        let mut text = text.replace(&self.text, &self.to_string());
        let login = self.login();
        let password = login.and_then(|l| l.split_once(':')).map(|(_, p)| p);
        // Short ones stand in other words, too; they are hidden with what stands around them.
        for secret in [
            login.map(|l| format!("{l}@")),
            self.query().map(|q| format!("?{q}")),
        ] {
            if let Some(secret) = secret.filter(|s| s.len() > 1) {
                let shown = if secret.starts_with('?') {
                    "?***"
                } else {
                    "***@"
                };
                text = text.replace(&secret, shown);
            }
        }
        for secret in [password, self.query()].into_iter().flatten() {
            if secret.len() >= 4 {
                text = text.replace(secret, "***");
            }
        }
        text
    }
}

impl fmt::Display for StreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.text.split_at(self.after_scheme);
        f.write_str(scheme)?;
        let rest = match self.login() {
            Some(login) => {
                f.write_str("***@")?;
                &rest[login.len() + 1..]
            }
            None => rest,
        };
        match rest.split_once('?') {
            Some((path, _)) => write!(f, "{path}?***"),
            None => f.write_str(rest),
        }
    }
}

impl fmt::Debug for StreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// `text` without the secrets of any URL in it: for errors that show a line of somebody's file.
pub fn mask_all(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown += before;
        let end = after.find(|c: char| c.is_whitespace() || "\"'`".contains(c));
        let (url, behind) = after.split_at(end.unwrap_or(after.len()));
        let host = url.find(['/', '?', '#']).unwrap_or(url.len());
        let host_from = url[..host].rfind('@').map(|at| at + 1);
        if host_from.is_some() {
            shown += "***@";
        }
        match url[host_from.unwrap_or(0)..].split_once('?') {
            Some((path, _)) => {
                shown += path;
                shown += "?***";
            }
            None => shown += &url[host_from.unwrap_or(0)..],
        }
        rest = behind;
    }
    shown + rest
}
