//! Names of classes as clients know them.

/// Names in Darknet's `coco.names` that differ from those that COCO, and everybody else, uses.
const COMMON: [(&str, &str); 6] = [
    ("motorbike", "motorcycle"),
    ("aeroplane", "airplane"),
    ("sofa", "couch"),
    ("pottedplant", "potted plant"),
    ("diningtable", "dining table"),
    ("tvmonitor", "tv"),
];

/// Which names an answer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// Darknet's own names of COCO's classes are told as others name them.
    #[default]
    Common,
    /// As the network's list of names has them.
    Raw,
    /// Common names, and a bus is a car: Frigate's `coco-80.txt` knows no bus, and its plug-in drops all that follows an
    /// unknown name.
    Frigate,
}

impl Names {
    /// The names that a request asks for by `labels=`.
    pub fn named(text: &str) -> Option<Self> {
        match text {
            "common" => Some(Self::Common),
            "raw" => Some(Self::Raw),
            "frigate" => Some(Self::Frigate),
            _ => None,
        }
    }

    /// The name of a class.
    pub fn of(self, class: u32, label: Option<&str>) -> String {
        let Some(label) = label.filter(|l| !l.is_empty()) else {
            return format!("class {class}");
        };
        let common = || COMMON.iter().find(|(from, _)| *from == label);
        match self {
            Self::Raw => label.to_owned(),
            Self::Frigate if label == "bus" => "car".to_owned(),
            _ => common().map_or(label, |(_, to)| to).to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn darknets_names_become_those_of_others() {
        for (names, label, told) in [
            (Names::Common, "tvmonitor", "tv"),
            (Names::Raw, "tvmonitor", "tvmonitor"),
            (Names::Frigate, "sofa", "couch"),
            (Names::Common, "bus", "bus"),
            (Names::Frigate, "bus", "car"),
            (Names::Common, "", "class 3"),
        ] {
            assert_eq!(names.of(3, Some(label)), told);
        }
        assert_eq!(Names::Raw.of(7, None), "class 7");
    }
}
