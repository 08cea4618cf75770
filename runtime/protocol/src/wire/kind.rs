//! The kinds of datagrams and their numbers on the wire.

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// The kind of a datagram, which determines the body's layout.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum MessageKind { $($(#[$doc])* $variant,)* }

        impl MessageKind {
            /// All kinds, in the order of their numbers on the wire.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The kind's name in counters.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

kinds! {
    /// Edge to gateway: the edge's plan, frames in flight and whether the edge has tasks to steal.
    Heartbeat = "heartbeat",
    /// Gateway to edge: the verdict on the node, the state of the edge's frames, and the fate of other nodes.
    State = "state",
    /// Thief to gateway: asks for a node that has tasks to steal.
    StealGateway = "steal_gateway",
    /// Gateway to thief: the node to ask for a task, or none.
    Victim = "victim",
    /// Thief to victim: asks for a task.
    StealClient = "steal_client",
    /// Victim to thief: a task, the duration of the lease, and the nodes that hold the inputs.
    Lease = "lease",
    /// Victim to thief: there is no task to steal.
    NoWork = "no_work",
    /// Thief to owner: the leases that the thief still works on.
    Renew = "renew",
    /// Owner to thief: which of the renewed leases still hold.
    Renewed = "renewed",
    /// Thief to owner: the task is finished and the thief holds the outputs.
    Done = "done",
    /// Thief to owner: the thief will not finish the task, and why.
    Failed = "failed",
    /// Owner to thief: acknowledges a report.
    ReportAck = "report_ack",
    /// Owner to gateway: finished tasks, and which nodes hold the outputs.
    Results = "results",
    /// Gateway to owner: which of the results the gateway knows, and which it has merged.
    ResultsAck = "results_ack",
    /// Gateway to owner: outputs that the gateway could not get from the named holder.
    Lost = "lost",
    /// Receiver to holder: the first request for chunks of a box.
    Pull = "pull",
    /// Receiver to holder: a request for further chunks.
    Grant = "grant",
    /// Receiver to holder: a request that repeats missing chunks.
    Nack = "nack",
    /// Holder to receiver: one chunk of bytes.
    Data = "data",
    /// Holder to receiver: the requested object is not here.
    Absent = "absent",
    /// Gateway to edge: the run has ended.
    Stop = "stop",
    /// Edge to gateway: the edge leaves the cluster.
    Bye = "bye",
    /// Source to edge: the sender brings frames, and has tasks whose home is the receiver.
    Offer = "offer",
    /// Edge to source: how many tasks the edge has room for, now and until its next want.
    Want = "want",
    /// Holder to receiver: the requested object is being made here, and follows; how much of it is made.
    Later = "later",
    /// Observer to gateway: asks for records or metrics.
    Watch = "watch",
    /// Gateway to observer: some of them.
    Shown = "shown",
    /// Edge to gateway: how the edge's board is.
    Condition = "condition",
}

impl MessageKind {
    /// Number of kinds.
    pub const COUNT: usize = Self::ALL.len();

    /// The kind's number on the wire, and its index in [`MessageKind::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The kind with this number; `None` when there is no such kind.
    pub fn from_wire(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}
