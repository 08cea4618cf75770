//! A client that sees every byte: HTTP/1.1 over one connection, with what all answers must have.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Longest wait for any byte.
const WITHIN: Duration = Duration::from_secs(60);

/// A connection that is kept.
pub struct Client {
    to: BufReader<TcpStream>,
    /// Bytes of a body in chunks that nobody has asked for yet.
    rest: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body, which must be JSON by its kind, too.
    pub fn json(&self) -> Result<Value> {
        ensure!(
            self.header("content-type") == Some("application/json"),
            "{self:?}"
        );
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// Connects.
    pub fn new(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_read_timeout(Some(WITHIN))?;
        stream.set_write_timeout(Some(WITHIN))?;
        Ok(Self {
            to: BufReader::new(stream),
            rest: Vec::new(),
        })
    }

    /// Sends a request and reads its answer.
    pub fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer> {
        self.send(method, path, headers, body)?;
        self.answer(method == "HEAD")
    }

    /// Gets a path.
    pub fn get(&mut self, path: &str) -> Result<Answer> {
        self.ask("GET", path, &[], b"")
    }

    /// Sends a request.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<()> {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(n, _)| *n == "host") {
            head += "host: localhost\r\n";
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() || method == "POST" {
            head += &format!("content-length: {}\r\n", body.len());
        }
        head += "\r\n";
        let stream = self.to.get_mut();
        stream.write_all(head.as_bytes())?;
        Ok(stream.write_all(body)?)
    }

    /// Reads an answer, which must say how long it is.
    pub fn answer(&mut self, is_head: bool) -> Result<Answer> {
        let (status, headers) = self.head()?;
        let mut answer = Answer {
            status,
            headers,
            body: Vec::new(),
        };
        ensure!(answer.header("transfer-encoding").is_none(), "{answer:?}");
        let len = answer
            .header("content-length")
            .with_context(|| format!("no length: {answer:?}"))?;
        if !is_head {
            answer.body = self.exactly(len.parse()?)?;
        }
        Ok(answer)
    }

    /// Reads a status line and headers.
    pub fn head(&mut self) -> Result<(u16, Vec<(String, String)>)> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).context("a status")?.parse()?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok((status, headers));
            }
            let (name, value) = line.split_once(": ").context("a header")?;
            headers.push((name.to_lowercase(), value.to_owned()));
        }
    }

    /// Reads a line without its end.
    pub fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(
            self.to.read_line(&mut line)? > 0,
            "the connection is closed"
        );
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Reads so many bytes.
    pub fn exactly(&mut self, len: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.to.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads so many bytes of a body in chunks, which has no end.
    pub fn chunked(&mut self, len: usize) -> Result<Vec<u8>> {
        while self.rest.len() < len {
            let size = usize::from_str_radix(&self.line()?, 16)?;
            let chunk = self.exactly(size)?;
            self.rest.extend(chunk);
            ensure!(self.line()?.is_empty(), "a chunk's end");
        }
        Ok(self.rest.drain(..len).collect())
    }

    /// Posts a form; `parts` are names with texts.
    pub fn post(
        &mut self,
        path: &str,
        picture: Option<&[u8]>,
        parts: &[(&str, &str)],
    ) -> Result<Answer> {
        let (kind, body) = form(picture, parts);
        self.ask("POST", path, &[("content-type", &kind)], &body)
    }
}

/// A form's `Content-Type` and body.
pub fn form(picture: Option<&[u8]>, parts: &[(&str, &str)]) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for (name, text) in parts {
        let part =
            format!("--part\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n");
        body.extend(part.as_bytes());
    }
    if let Some(picture) = picture {
        body.extend(
            b"--part\r\nContent-Disposition: form-data; name=\"image\"; filename=\"image\"\r\n\r\n",
        );
        body.extend(picture);
        body.extend(b"\r\n");
    }
    body.extend(b"--part--\r\n");
    ("multipart/form-data; boundary=part".into(), body)
}
