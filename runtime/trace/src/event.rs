//! One event.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Microseconds; fractions count.
pub type Micros = f64;

/// What kind of event it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Something that took a while, on a thread.
    #[serde(rename = "X")]
    Slice,
    /// Something that happened, on a thread.
    #[serde(rename = "i")]
    Instant,
    /// A number that changes.
    #[serde(rename = "C")]
    Counter,
    /// A name of a process or a thread.
    #[serde(rename = "M")]
    Metadata,
    /// The beginning of something that overlaps others of its kind.
    #[serde(rename = "b")]
    Begin,
    /// Its end.
    #[serde(rename = "e")]
    End,
}

/// One event. Fields that its kind does not have are absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its kind.
    pub ph: Phase,
    /// The node, by [`crate::tracks::process`].
    pub pid: u32,
    /// The track, from 1: readers take 0 for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tid: u32,
    /// What happened.
    pub name: String,
    /// Its kind, for filters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cat: String,
    /// When it began; of metadata, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ts: Option<Micros>,
    /// How long it took, of a slice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dur: Option<Micros>,
    /// Which of those that overlap it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// The flow that begins or ends here, below 2^53.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind_id: Option<u64>,
    /// The flow begins here.
    #[serde(default, skip_serializing_if = "is_false")]
    pub flow_out: bool,
    /// The flow ends here.
    #[serde(default, skip_serializing_if = "is_false")]
    pub flow_in: bool,
    /// The rest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_false(b: &bool) -> bool {
    !*b
}

impl Event {
    /// An event of a kind on a track; the rest is for the caller to fill in.
    pub fn new(ph: Phase, pid: u32, tid: u32, name: impl Into<String>) -> Self {
        Self {
            ph,
            pid,
            tid,
            name: name.into(),
            cat: String::new(),
            ts: None,
            dur: None,
            id: None,
            bind_id: None,
            flow_out: false,
            flow_in: false,
            args: BTreeMap::new(),
        }
    }

    /// A name of a process (`process_name`) or a thread (`thread_name`).
    pub fn naming(pid: u32, tid: u32, what: &str, name: &str) -> Self {
        Self::new(Phase::Metadata, pid, tid, what).with("name", name)
    }

    /// With a kind.
    #[must_use]
    pub fn cat(mut self, cat: &str) -> Self {
        cat.clone_into(&mut self.cat);
        self
    }

    /// At a time.
    #[must_use]
    pub const fn at(mut self, ts: Micros) -> Self {
        self.ts = Some(ts);
        self
    }

    /// From one time to another.
    #[must_use]
    pub const fn between(mut self, begin: Micros, end: Micros) -> Self {
        self.ts = Some(begin);
        self.dur = Some((end - begin).max(0.0));
        self
    }

    /// With a value.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.args.insert(key.into(), value.into());
        self
    }

    /// As the beginning of a flow.
    #[must_use]
    pub const fn flowing_out(mut self, flow: u64) -> Self {
        self.bind_id = Some(flow);
        self.flow_out = true;
        self
    }

    /// As the end of a flow.
    #[must_use]
    pub const fn flowing_in(mut self, flow: u64) -> Self {
        self.bind_id = Some(flow);
        self.flow_in = true;
        self
    }

    /// When it ended.
    pub fn end(&self) -> Option<Micros> {
        Some(self.ts? + self.dur.unwrap_or(0.0))
    }

    /// A whole number of its values.
    pub fn number(&self, key: &str) -> Option<u64> {
        self.args.get(key)?.as_u64()
    }
}
