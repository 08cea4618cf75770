//! What is deployed on a board already: versions, their files by digest, and the unit. Nothing is changed there.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    places::{HOME, MARK, OWN_KEY, PLAN, UNIT, UNIT_FILE},
    probe::facts,
    remote::quoted,
};

/// Prints facts as the probe's script does, whose function `say` it uses.
pub fn script() -> String {
    format!(
        r#"
unit() {{ systemctl show -p "$1" --value {UNIT} 2>/dev/null; }}
if [ -e {UNIT_FILE} ]; then
    if [ "$(head -n 1 {UNIT_FILE})" = {mark} ]; then say unit ours; else say unit foreign; fi
    say active "$(unit ActiveState)"
    say status "$(unit StatusText)"
fi
[ ! -e {OWN_KEY} ] || say own_key yes
if cd {HOME} 2>/dev/null; then
    say current "$(readlink current | sed 's|^versions/||')"
    say previous "$(readlink previous | sed 's|^versions/||')"
    say plan "$(cat current/{PLAN} 2>/dev/null)"
    say previous_plan "$(cat previous/{PLAN} 2>/dev/null)"
    for v in versions/*; do [ ! -d "$v" ] || printf 'version\t%s\n' "${{v#versions/}}"; done
    find versions -type f -printf '%i %p\n' 2>/dev/null | sort -u -k1,1n | cut -d' ' -f2- |
        while read -r f; do printf 'have\t%s\n' "$(sha256sum "$f")"; done
fi
"#,
        mark = quoted(MARK)
    )
}

/// What a board has of earlier deployments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Installed {
    /// The version that runs, or would.
    pub current: Option<String>,
    /// The version before.
    pub previous: Option<String>,
    /// Hash of the plan of the current version.
    pub plan: Option<String>,
    /// Hash of the plan of the version before.
    pub previous_plan: Option<String>,
    /// Complete versions.
    #[serde(skip)]
    pub versions: BTreeSet<String>,
    /// Files below [`HOME`] by their SHA-256.
    #[serde(skip)]
    pub files: BTreeMap<String, String>,
    /// The unit's file is somebody else's.
    pub foreign_unit: bool,
    /// State of the unit, as systemd names it; `None` without a unit.
    pub active: Option<String>,
    /// What the node says of itself.
    pub status: Option<String>,
    /// The board has a private key that was made there.
    pub own_key: bool,
}

impl Installed {
    /// Reads an answer.
    pub fn read(text: &str) -> Self {
        let facts = facts(text);
        let text_of = |name: &str| facts.get(name).map(|v| v.trim().to_owned());
        let lines = || text.lines().filter_map(|l| l.split_once('\t'));
        let of = |name: &'static str| lines().filter(move |(n, _)| *n == name).map(|(_, v)| v);
        let complete = of("version").filter(|v| !v.ends_with(".part"));
        Self {
            current: text_of("current"),
            previous: text_of("previous"),
            plan: text_of("plan"),
            previous_plan: text_of("previous_plan"),
            versions: complete.map(Into::into).collect(),
            files: of("have")
                .filter_map(|v| v.split_once("  "))
                .map(|(hash, path)| (hash.into(), path.into()))
                .collect(),
            foreign_unit: facts.get("unit") == Some(&"foreign"),
            active: text_of("active"),
            status: text_of("status"),
            own_key: facts.contains_key("own_key"),
        }
    }

    /// True if a node runs.
    pub fn runs(&self) -> bool {
        self.active.as_deref() == Some("active")
    }

    /// True if this version runs, and takes frames if it is a source: one that was drained for another version that did not come
    /// takes none until it is started anew.
    pub fn runs_version(&self, id: &str) -> bool {
        let drains = self.status.as_ref().is_some_and(|s| s.starts_with("drain"));
        self.runs() && self.current.as_deref() == Some(id) && !drains
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let read = Installed::read(
            "unit\tours\nactive\tactive\nstatus\tjoined the gateway at 10.0.0.1:7400\ncurrent\tabc\nprevious\tdef\nplan\t77\n\
             version\tabc\nversion\tdef\nversion\txyz.part\nhave\t11  versions/abc/node\nhave\t22  versions/xyz.part/weights.bin\n",
        );
        assert!(read.runs_version("abc") && !read.runs_version("def"));
        assert_eq!(read.versions.len(), 2, "what is still sent is no version");
        assert_eq!(read.files["22"], "versions/xyz.part/weights.bin");
        assert!(!read.foreign_unit && !read.own_key);
        assert_eq!(read.previous.as_deref(), Some("def"));
        let drained = Installed::read("active\tactive\nstatus\tdrained: all\ncurrent\tabc\n");
        assert!(drained.runs() && !drained.runs_version("abc"));
        assert_eq!(Installed::read(""), Installed::default());
        assert!(Installed::read("unit\tforeign\n").foreign_unit);
    }
}
