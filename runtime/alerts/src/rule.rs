//! `[[alert]]` of `cluster.toml`: what people want to hear of.

use std::collections::{BTreeMap, BTreeSet};

use tessera_plan::files::alerts::AlertEntry;

use crate::{
    tracker::Track,
    zone::{CORNERS_MAX, Zone},
};

/// Most rules of a cluster.
pub const RULES_MAX: usize = 64;
/// Longest name, in characters.
const NAME_MAX: usize = 64;
/// Score, frames and seconds of a rule that does not say them.
const SCORE: f32 = 0.5;
const FRAMES: u32 = 3;
const COOLDOWN_S: f64 = 60.0;
/// Pictures and MiB that a folder keeps whose rules do not say them.
const STILLS: u32 = 200;
const STILLS_MIB: u32 = 64;
/// Longest pause between two alerts, in seconds: a week.
const COOLDOWN_MAX_S: f64 = 7.0 * 86_400.0;

/// What is wrong with `[[alert]]` tables.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// A value makes no sense.
    #[error("[[alert]] {name:?}: {why}")]
    Value {
        /// The rule's name.
        name: String,
        /// What is wrong, and what to write.
        why: String,
    },
    /// Two rules have one name.
    #[error("[[alert]] {0:?} is there twice: give each a name of its own")]
    Twice(String),
    /// Two rules have one folder with different bounds.
    #[error(
        "[[alert]] {name:?}: another one keeps {folder:?} too: give both the same stills_max and stills_mib, or folders of their own"
    )]
    Stills {
        /// The second rule's name.
        name: String,
        /// The folder.
        folder: String,
    },
    /// There are too many.
    #[error("{0} [[alert]] tables: at most {RULES_MAX} are looked at")]
    TooMany(usize),
}

/// Where pictures of alerts are kept, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stills {
    /// The folder, as it is written.
    pub folder: String,
    /// Most pictures.
    pub max: u32,
    /// Most bytes.
    pub bytes_max: u64,
}

/// What people want to hear of.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// Where alerts are posted.
    pub webhook: Option<String>,
    /// Where its pictures are kept.
    pub stills: Option<Stills>,
    classes: BTreeSet<String>,
    sources: BTreeSet<String>,
    zone: Option<Zone>,
    score: f32,
    frames: u32,
    cooldown_s: f64,
}

/// What a rule remembers of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RuleState {
    /// Objects that met it.
    count: u64,
    /// When the last alert was said.
    said: Option<f64>,
}

impl Rule {
    /// The rules of `entries`. `labels` are the names of the network's classes, if they are known.
    ///
    /// # Errors
    /// When a value makes no sense.
    pub fn all(entries: &[AlertEntry], labels: &[String]) -> Result<Vec<Self>, RuleError> {
        if entries.len() > RULES_MAX {
            return Err(RuleError::TooMany(entries.len()));
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = entries.iter().find(|e| !names.insert(&e.name)) {
            return Err(RuleError::Twice(twice.name.clone()));
        }
        let rules: Vec<Self> = (entries.iter())
            .map(|e| Self::of(e, labels))
            .collect::<Result<_, _>>()?;
        let mut folders: BTreeMap<&str, &Stills> = BTreeMap::new();
        for rule in &rules {
            let Some(stills) = &rule.stills else { continue };
            if *folders.entry(&stills.folder).or_insert(stills) != stills {
                return Err(RuleError::Stills {
                    name: rule.name.clone(),
                    folder: stills.folder.clone(),
                });
            }
        }
        Ok(rules)
    }

    fn of(entry: &AlertEntry, labels: &[String]) -> Result<Self, RuleError> {
        let wrong = |why: String| {
            let name = entry.name.clone();
            Err(RuleError::Value { name, why })
        };
        let is_plain = |c: char| !c.is_control();
        if !(1..=NAME_MAX).contains(&entry.name.chars().count())
            || !entry.name.chars().all(is_plain)
        {
            return wrong(format!("a name has 1 to {NAME_MAX} characters"));
        }
        if let Some(unknown) = entry.classes.iter().find(|c| !labels.contains(c)) {
            return wrong(if labels.is_empty() {
                format!(
                    "classes = [{unknown:?}], but the names of classes are not known: put weights.names beside weights.bin, or give --names FILE"
                )
            } else {
                format!("the network knows no class {unknown:?}")
            });
        }
        let zone = entry.zone.clone().map(Zone::new);
        if zone == Some(None) {
            return wrong(format!(
                "zone: give 3 to {CORNERS_MAX} corners as [x, y], each from 0 to 1"
            ));
        }
        let score = entry.score.unwrap_or(SCORE);
        if !(0.0..=1.0).contains(&score) {
            return wrong(format!("score = {score}: give a number from 0 to 1"));
        }
        let frames = entry.frames.unwrap_or(FRAMES);
        if frames == 0 {
            return wrong("frames = 0: an object is seen in 1 frame at least".into());
        }
        let cooldown_s = entry.cooldown.unwrap_or(COOLDOWN_S);
        if !(0.0..=COOLDOWN_MAX_S).contains(&cooldown_s) {
            return wrong(format!(
                "cooldown = {cooldown_s}: give seconds from 0 to {COOLDOWN_MAX_S}"
            ));
        }
        let is_url = |u: &String| u.starts_with("http://") || u.starts_with("https://");
        if !entry.webhook.as_ref().is_none_or(is_url) {
            return wrong("webhook: give a URL that begins with http:// or https://".into());
        }
        let max = entry.stills_max.unwrap_or(STILLS);
        let mib = entry.stills_mib.unwrap_or(STILLS_MIB);
        if max == 0 || max > AlertEntry::STILLS_MAX || mib == 0 || mib > AlertEntry::STILLS_MIB_MAX
        {
            return wrong(format!(
                "stills_max = {max}, stills_mib = {mib}: give 1 to {} pictures and 1 to {} MiB",
                AlertEntry::STILLS_MAX,
                AlertEntry::STILLS_MIB_MAX
            ));
        }
        if entry.stills.as_deref() == Some("") {
            return wrong("stills: give a folder".into());
        }
        let stills = entry.stills.clone().map(|folder| Stills {
            folder,
            max,
            bytes_max: u64::from(mib) << 20,
        });
        Ok(Self {
            name: entry.name.clone(),
            webhook: entry.webhook.clone(),
            stills,
            classes: entry.classes.iter().cloned().collect(),
            sources: entry.sources.iter().cloned().collect(),
            zone: zone.flatten(),
            score,
            frames,
            cooldown_s,
        })
    }

    /// True if the rule looks at the source of that name.
    pub(crate) fn is_about_source(&self, name: Option<&str>) -> bool {
        self.sources.is_empty() || name.is_some_and(|n| self.sources.contains(n))
    }

    /// Looks at an object of the last frame with the rule's place `index` among its counters. Returns how many objects of the
    /// source have met the rule when people want to hear of this one: each is counted once, and is silent while another
    /// alert is fresh.
    pub(crate) fn meets(
        &self,
        index: usize,
        track: &mut Track,
        state: &mut RuleState,
        now: f64,
    ) -> Option<u64> {
        let seen = &track.seen;
        let label = seen.label.as_deref();
        let is_met = (self.classes.is_empty() || label.is_some_and(|l| self.classes.contains(l)))
            && seen.score >= self.score
            && (self.zone.as_ref()).is_none_or(|z| z.has(seen.bbox.foot()));
        let met = track.met.get_mut(index)?;
        *met = if is_met { met.saturating_add(1) } else { 0 };
        let counted = track.counted.get_mut(index)?;
        if *met < self.frames || *counted {
            return None;
        }
        *counted = true;
        state.count += 1;
        let is_fresh = state.said.is_some_and(|at| now - at < self.cooldown_s);
        if is_fresh {
            return None;
        }
        state.said = Some(now);
        Some(state.count)
    }
}
