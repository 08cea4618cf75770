//! Posts alerts to the URLs of their rules, on a thread of its own: whoever answers slowly holds nothing up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use ureq::Agent;

use crate::error::NodeError;

/// Most alerts that wait.
const WAIT_MAX: usize = 64;
/// Longest wait for an answer.
const WITHIN: Duration = Duration::from_secs(5);
/// Pauses before the second and the third attempt.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// Longest wait for posts at the node's end.
const GOODBYE: Duration = Duration::from_millis(800);

/// A thread that posts.
#[derive(Debug)]
pub struct Webhooks {
    queue: SyncSender<Post>,
    /// Posts that have no end yet.
    under_way: Arc<AtomicUsize>,
}

/// An alert, and where it goes.
struct Post {
    url: String,
    json: String,
}

impl Webhooks {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system starts none.
    pub fn start() -> Result<Self, NodeError> {
        let (queue, posts) = sync_channel(WAIT_MAX);
        let under_way = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&under_way);
        thread::Builder::new()
            .name("webhooks".into())
            .spawn(move || run(&posts, &counted))
            .map_err(NodeError::io("a thread for webhooks".to_owned()))?;
        Ok(Self { queue, under_way })
    }

    /// Posts soon. One that finds [`WAIT_MAX`] others waiting is lost, and that is said.
    pub fn post(&self, url: String, json: String) {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        match self.queue.try_send(Post { url, json }) {
            Ok(()) => {}
            Err(TrySendError::Full(post) | TrySendError::Disconnected(post)) => {
                self.under_way.fetch_sub(1, Ordering::Relaxed);
                tracing::warn!(
                    "webhook {}: too many alerts wait; one is lost",
                    host(&post.url)
                );
            }
        }
    }

    /// Waits a moment until all is posted.
    pub fn wait(&self) {
        let begun = Instant::now();
        while self.under_way.load(Ordering::Relaxed) > 0 && begun.elapsed() < GOODBYE {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn run(posts: &Receiver<Post>, under_way: &AtomicUsize) {
    let config = Agent::config_builder()
        .timeout_global(Some(WITHIN))
        .proxy(None)
        .build();
    let agent = Agent::new_with_config(config);
    for post in posts {
        let mut pauses = PAUSES.iter();
        while let Err(e) = send(&agent, &post) {
            let host = host(&post.url);
            let Some(pause) = pauses.next() else {
                tracing::warn!("webhook {host}: {e}; an alert is lost");
                break;
            };
            tracing::debug!("webhook {host}: {e}; once more in {pause:?}");
            thread::sleep(*pause);
        }
        under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

fn send(agent: &Agent, post: &Post) -> Result<(), ureq::Error> {
    let request = agent.post(&post.url).content_type("application/json");
    request.send(&post.json).map(|_| ())
}

/// Whom a URL is about. The rest of it may be a secret, and is said nowhere.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    rest[..end].rsplit('@').next().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
    };

    use super::*;

    #[test]
    fn secrets_of_urls_are_not_said() {
        for (url, said) in [
            ("http://hub:8123/api/webhook/secret", "hub:8123"),
            ("https://me:word@ntfy.example/topic?auth=x", "ntfy.example"),
            ("http://hub", "hub"),
        ] {
            assert_eq!(host(url), said);
        }
    }

    /// A server that refuses the first attempt gets the alert with the second.
    #[test]
    fn an_alert_is_posted_once_more() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let mut bodies = Vec::new();
            for status in ["503 Service Unavailable", "200 OK"] {
                let (mut stream, _) = listener.accept().unwrap();
                stream
                    .set_read_timeout(Some(Duration::from_secs(20)))
                    .unwrap();
                let mut text = String::new();
                let mut buffer = [0; 4096];
                while !text.ends_with('}') {
                    let n = stream.read(&mut buffer).unwrap();
                    assert!(n > 0, "{text}");
                    text.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
                }
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).unwrap();
                bodies.push(text);
            }
            bodies
        });
        let webhooks = Webhooks::start().unwrap();
        webhooks.post(url, "{\"alert\":\"a\"}".into());
        let bodies = server.join().unwrap();
        for body in bodies {
            assert!(body.starts_with("POST /hook "), "{body}");
            let lower = body.to_lowercase();
            assert!(lower.contains("content-type: application/json"), "{body}");
            assert!(body.ends_with("{\"alert\":\"a\"}"), "{body}");
        }
    }
}
