//! The kinds of datagrams.

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What a datagram says; its body follows from it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum MessageKind { $($(#[$doc])* $variant,)* }

        impl MessageKind {
            /// All kinds, by their number on the wire.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// As counters name it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

kinds! {
    /// Edge to gateway: I live, this is my plan, these are my frames.
    Heartbeat = "heartbeat",
    /// Gateway to edge: whether you may join, how your frames stand, what became of others.
    State = "state",
    /// Thief to gateway: who has work?
    StealGateway = "steal_gateway",
    /// Gateway to thief: ask this one; or nobody.
    Victim = "victim",
    /// Thief to victim: give me a task.
    StealClient = "steal_client",
    /// Victim to thief: this one, until then; its inputs lie there.
    Lease = "lease",
    /// Victim to thief: I have none to give.
    NoWork = "no_work",
    /// Thief to owner: still at it.
    Renew = "renew",
    /// Owner to thief: whether these are still wanted.
    Renewed = "renewed",
    /// Thief to owner: finished, the outputs lie with me.
    Done = "done",
    /// Thief to owner: I will not finish it, and why.
    Failed = "failed",
    /// Owner to thief: heard.
    ReportAck = "report_ack",
    /// Owner to gateway: finished tasks, and where their outputs lie.
    Results = "results",
    /// Gateway to owner: what I have of them.
    ResultsAck = "results_ack",
    /// Gateway to owner: these outputs are not where you said.
    Lost = "lost",
    /// Receiver to holder: begin to send me this box.
    Pull = "pull",
    /// Receiver to holder: go on.
    Grant = "grant",
    /// Receiver to holder: these have not come.
    Nack = "nack",
    /// Holder to receiver: bytes.
    Data = "data",
    /// Holder to receiver: I have no such object.
    Absent = "absent",
    /// Gateway to edge: the run is over.
    Stop = "stop",
    /// Edge to gateway: I leave.
    Bye = "bye",
}

impl MessageKind {
    /// Number of kinds.
    pub const COUNT: usize = Self::ALL.len();

    /// Number on the wire, and place in [`MessageKind::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The kind of that number.
    pub fn from_wire(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}
