//! `plan.toml`: writing, reading, hashing.

use sha2::{Digest, Sha256};

use crate::{
    limits::PLAN_BYTES_MAX,
    plan::{Dataflow, Plan, SCHEMA_VERSION},
};

/// Why a text is no plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormError {
    /// Longer than any plan.
    #[error("{found} bytes are too many for a plan; the limit is {limit}")]
    TooLong {
        /// Bytes.
        found: usize,
        /// Limit.
        limit: usize,
    },
    /// Not the TOML of a plan.
    #[error("this is no plan.toml: {0}")]
    Toml(#[from] toml::de::Error),
    /// Another version.
    #[error(
        "plan schema {found}; this program reads {SCHEMA_VERSION}: make the plan again with the command it names"
    )]
    Schema {
        /// The plan's.
        found: u32,
    },
    /// The hash does not fit the dataflow.
    #[error(
        "the plan's hash does not fit its dataflow: the file was edited or damaged; make it again"
    )]
    Hash,
    /// The plan breaks a rule.
    #[error(transparent)]
    Check(#[from] crate::check::CheckError),
}

impl Dataflow {
    /// Hex SHA-256 of the canonical form: the TOML of this part alone.
    ///
    /// # Panics
    /// Never: every field has a TOML form.
    pub fn hash(&self) -> String {
        digest(&toml::to_string(self).expect("plain data has a TOML form"))
    }
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

impl Plan {
    /// Hex SHA-256 of all of the plan: what crates differ by.
    pub fn digest(&self) -> String {
        digest(&self.to_toml())
    }

    /// The plan as `plan.toml`.
    ///
    /// # Panics
    /// Never: every field has a TOML form.
    pub fn to_toml(&self) -> String {
        let body = toml::to_string(self).expect("plain data has a TOML form");
        format!(
            "# A plan of Tessera. Made by: {}\n# Regions are half-open [lo, hi]; see planner/src/plan/mod.rs.\n\n{body}",
            self.command
        )
    }

    /// Reads and checks a `plan.toml`.
    ///
    /// # Errors
    /// When the text is no plan of this version, or breaks a rule.
    pub fn from_toml(text: &str) -> Result<Self, FormError> {
        if text.len() > PLAN_BYTES_MAX {
            return Err(FormError::TooLong {
                found: text.len(),
                limit: PLAN_BYTES_MAX,
            });
        }
        let plan: Self = toml::from_str(text)?;
        if plan.schema != SCHEMA_VERSION {
            return Err(FormError::Schema { found: plan.schema });
        }
        crate::check::check(&plan)?;
        if plan.dataflow.hash() != plan.hash {
            return Err(FormError::Hash);
        }
        Ok(plan)
    }
}
