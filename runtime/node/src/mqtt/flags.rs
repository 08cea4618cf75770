//! What the command line says of the broker.

use std::path::PathBuf;

/// What the command line says of the broker.
#[derive(Clone, Debug, Default)]
pub struct MqttFlags {
    /// Its address; none: nothing is said.
    pub broker: Option<String>,
    /// The file of a login.
    pub login: Option<PathBuf>,
    /// What tells this cluster from others.
    pub id: Option<String>,
    /// Home Assistant's prefix.
    pub prefix: Option<String>,
    /// Classes that are counted, between commas.
    pub classes: Option<String>,
    /// Take back what was said, and end.
    pub remove: bool,
}

impl MqttFlags {
    /// True if any of the flags was given.
    pub const fn are_given(&self) -> bool {
        let texts = self.broker.is_some() || self.id.is_some() || self.prefix.is_some();
        texts || self.login.is_some() || self.classes.is_some() || self.remove
    }
}
