//! What travels between nodes.

use std::{net::SocketAddr, rc::Rc};

/// A datagram on its way from one address to another.
#[derive(Clone, Debug)]
pub(super) struct Datagram {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Rc<[u8]>,
}
