//! `cluster pair`: waits for a board that joins by a code, takes its public keys into the cluster file, and gives it the file
//! and the cluster's secret. What is sent travels in a session whose keys follow from the code.

use std::{
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tessera_plan::files::pairing::{Answer, Ask, DATAGRAM_BYTES_MAX, Membership, PART_BYTES};
use tessera_secure::{Links, PairingCode, Side, Way};

use super::{Edited, key_file, named, public, quoted};
use crate::{flags::PairArgs, out::outln};

/// How long a code is good.
const GOOD: Duration = Duration::from_secs(600);
/// How long the end is repeated to a board that has not heard it.
const LINGER: Duration = Duration::from_secs(1);

/// Runs the command.
///
/// # Errors
/// When the file cannot be read or written, nobody can listen there, or no board comes in time.
pub(super) fn run(a: &PairArgs) -> Result<()> {
    let mut edited = Edited::read(&a.at.file)?;
    let given = named(&a.name);
    let name = given.name;
    super::check_name(name)?;
    if !edited.file.board.iter().any(|b| b.name == name) {
        edited.append(given, &a.target, &["edge".to_owned()])?;
    }
    let secret = key_file::read_secret(&edited.folder().join(key_file::SECRET))
        .context("the cluster's secret; cargo xtask cluster init makes it")?;
    let [random, seed] = [key_file::random()?, key_file::random()?];
    let mut bytes = [0; 10];
    bytes.copy_from_slice(&random[..10]);
    let code = PairingCode::from_random(bytes);
    let socket =
        UdpSocket::bind(a.listen).with_context(|| format!("cannot listen on {}", a.listen))?;
    let at = socket.local_addr()?;
    let host = if at.ip().is_unspecified() {
        format!("THIS-MACHINE:{}", at.port())
    } else {
        at.to_string()
    };
    outln!("On {name}, within {} minutes:", GOOD.as_secs() / 60)?;
    outln!("  ./node join {code} --at {host}")?;
    let mut desk = Desk {
        name: name.to_owned(),
        secret: secret.to_text().to_string(),
        edited,
        joined: None,
        text: Vec::new(),
    };
    let links = code.links(Side::Operator, seed);
    serve(&socket, links, &mut desk)?;
    outln!("{name} has joined. Copy the file to all other boards.")
}

/// Answers until the board is done.
fn serve(socket: &UdpSocket, mut links: Links, desk: &mut Desk) -> Result<()> {
    let begun = Instant::now();
    let mut until = begun + GOOD;
    let mut buffer = [0; 2 * DATAGRAM_BYTES_MAX];
    let mut is_done = false;
    loop {
        let now = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        while let Some((to, bytes)) = links.poll(now) {
            let _ = socket.send_to(bytes, to);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let due = Duration::from_micros(links.next_deadline().saturating_sub(now));
        let wait = left.min(due).max(Duration::from_millis(1));
        socket.set_read_timeout(Some(wait))?;
        let Ok((n, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let opened = links.open(now, from, &mut buffer[..n]);
        let Some(ask) =
            opened.and_then(|(_, payload)| serde_json::from_slice::<Ask>(&buffer[payload]).ok())
        else {
            continue;
        };
        if ask == Ask::Done && desk.joined.is_some() && !is_done {
            (is_done, until) = (true, Instant::now() + LINGER);
        }
        let answer = desk.answer(&ask)?;
        send(socket, &mut links, now, from, &answer)?;
    }
    match desk.joined {
        Some(_) => Ok(()),
        None => bail!("no board has come in time; the code is good no more"),
    }
}

fn send(
    socket: &UdpSocket,
    links: &mut Links,
    now: u64,
    address: SocketAddr,
    answer: &Answer,
) -> Result<()> {
    let payload = serde_json::to_vec(answer)?;
    let way = Way {
        number: Side::OTHER,
        process: None,
        address,
    };
    // What is lost is asked for again.
    if let Ok((at, datagram)) = links.sealed(now, way, &payload) {
        let _ = socket.send_to(&datagram, at);
    }
    Ok(())
}

/// The cluster file, and the board that joins.
struct Desk {
    name: String,
    secret: String,
    edited: Edited,
    /// The board's public key, once it has come.
    joined: Option<String>,
    /// What the board gets.
    text: Vec<u8>,
}

impl Desk {
    fn answer(&mut self, ask: &Ask) -> Result<Answer> {
        Ok(match ask {
            Ask::Join { key, edge_key } => {
                if self.joined.is_none() {
                    self.join(key, edge_key)?;
                }
                if self.joined.as_ref() == Some(key) {
                    Answer::Joined {
                        name: self.name.clone(),
                        parts: self.text.chunks(PART_BYTES).len() as u32,
                    }
                } else {
                    let why = "another board has used this code; get a new one".into();
                    Answer::Refused { why }
                }
            }
            Ask::Part { number } => {
                let part = self.text.chunks(PART_BYTES).nth(*number as usize);
                Answer::Part {
                    number: *number,
                    hex: hex::encode(part.unwrap_or_default()),
                }
            }
            Ask::Done => Answer::Done,
        })
    }

    fn join(&mut self, key: &str, edge_key: &str) -> Result<()> {
        let board = self.edited.board(&self.name)?;
        let second = board.has("gateway") && board.is_edge();
        let mut values = vec![("key", quoted(&public(key)?))];
        if second {
            values.push(("edge_key", quoted(&public(edge_key)?)));
        }
        if board.removed {
            values.push(("removed", "false".into()));
        }
        self.edited.set(&self.name, values)?;
        self.edited.write()?;
        self.text = serde_json::to_vec(&Membership {
            cluster: self.edited.text.clone(),
            secret: self.secret.clone(),
        })?;
        self.joined = Some(key.to_owned());
        Ok(())
    }
}
