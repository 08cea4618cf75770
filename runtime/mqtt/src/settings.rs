//! The broker, who logs in, and what is published.

use std::{
    fmt, fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::slug::slug;

/// Port of a broker without TLS.
const PORT: u16 = 1883;
/// Classes that most people ask for, by the names that COCO and Darknet give them.
const USUAL: [&str; 9] = [
    "person",
    "bicycle",
    "car",
    "motorbike",
    "motorcycle",
    "bus",
    "truck",
    "cat",
    "dog",
];
/// Most classes that are published without anybody asking for them.
const UNASKED_MAX: usize = 10;
/// Most classes.
pub const CLASSES_MAX: usize = 100;

/// Why nothing is said over MQTT.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MqttError {
    /// An address that is none.
    #[error("{0}: give the broker as HOST or HOST:PORT, as in 192.168.1.5:1883 (without TLS)")]
    Address(String),
    /// A file of a login that cannot be read.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// Others may read it.
    #[error("{0}: others can read this password; make it yours alone: chmod 600 {0}")]
    Open(PathBuf),
    /// A file without a login.
    #[error("{0}: write the user and the password there, as USER:PASSWORD in one line")]
    Login(PathBuf),
    /// Names that topics cannot have.
    #[error("{0:?} cannot begin a topic; give letters, digits, -, _ and /")]
    Topic(String),
    /// A class that the network does not have.
    #[error("the network has no class {0:?}; {1}")]
    Class(String, String),
    /// The system starts no thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The broker cannot be reached.
    #[error("the broker at {0}: {1}")]
    Broker(String, String),
}

/// A broker's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl FromStr for Broker {
    type Err = MqttError;

    fn from_str(text: &str) -> Result<Self, MqttError> {
        let wrong = || MqttError::Address(text.into());
        let text = text.strip_prefix("mqtt://").unwrap_or(text);
        let (host, port) = match text.rsplit_once(':') {
            // An IPv6 address without a port has no brackets.
            Some((host, _)) if host.contains(':') && !host.ends_with(']') => (text, PORT),
            Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
            None => (text, PORT),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
        if host.is_empty() || !host.chars().all(plain) {
            return Err(wrong());
        }
        Ok(Self {
            host: host.into(),
            port,
        })
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:***", self.user)
    }
}

/// Where and what to publish.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) broker: Broker,
    pub(crate) login: Option<Login>,
    /// What tells this cluster from others: part of topics, ids of devices and the client's id.
    pub(crate) id: String,
    /// Home Assistant's prefix; `None`: it is told nothing.
    pub(crate) prefix: Option<String>,
    /// Names of the classes that are counted.
    pub(crate) classes: Vec<String>,
}

impl Settings {
    /// Settings for a cluster whose `id` stays the same over restarts; Home Assistant has its usual prefix.
    pub fn new(broker: Broker, id: &str) -> Self {
        Self {
            broker,
            login: None,
            id: slug(id),
            prefix: Some("homeassistant".into()),
            classes: Vec::new(),
        }
    }

    /// Sets Home Assistant's prefix; an empty one: it is told nothing.
    ///
    /// # Errors
    /// When topics cannot begin so.
    pub fn with_prefix(mut self, prefix: &str) -> Result<Self, MqttError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
        let is_odd = prefix.starts_with('/') || prefix.ends_with('/') || prefix.len() > 64;
        if is_odd || !prefix.chars().all(plain) {
            return Err(MqttError::Topic(prefix.into()));
        }
        self.prefix = Some(prefix.to_owned()).filter(|p| !p.is_empty());
        Ok(self)
    }

    /// Sets the login that a file has in its first line: `USER:PASSWORD`.
    ///
    /// # Errors
    /// When the file cannot be read, others can read it, or it has no login.
    pub fn with_login(mut self, path: &Path) -> Result<Self, MqttError> {
        let file = |cause| MqttError::File {
            path: path.into(),
            cause,
        };
        if fs::metadata(path).map_err(file)?.permissions().mode() & 0o077 != 0 {
            return Err(MqttError::Open(path.into()));
        }
        let text = fs::read_to_string(path).map_err(file)?;
        let (user, password) = (text.lines().next())
            .and_then(|line| line.split_once(':'))
            .filter(|(user, _)| !user.is_empty())
            .ok_or_else(|| MqttError::Login(path.into()))?;
        self.login = Some(Login {
            user: user.into(),
            password: password.into(),
        });
        Ok(self)
    }

    /// Sets the classes that are counted: those of `asked`, or the usual ones among `labels`.
    ///
    /// # Errors
    /// When the network has no such class.
    pub fn with_classes(
        mut self,
        asked: Option<&str>,
        labels: &[String],
    ) -> Result<Self, MqttError> {
        self.classes = match asked {
            Some(asked) => {
                let names = asked.split(',').map(str::trim).filter(|n| !n.is_empty());
                let names: Vec<String> = names.map(Into::into).take(CLASSES_MAX).collect();
                if let Some(name) = names.iter().find(|n| !labels.contains(n)) {
                    let known = match labels {
                        [] => "it has no names: give --names FILE".into(),
                        _ => format!("its classes are {}", labels.join(", ")),
                    };
                    return Err(MqttError::Class(name.clone(), known));
                }
                names
            }
            None if labels.len() <= UNASKED_MAX => labels.to_vec(),
            None => {
                let usual = labels.iter().filter(|l| USUAL.contains(&l.as_str()));
                let usual: Vec<String> = usual.cloned().collect();
                match usual.is_empty() {
                    true => labels[..UNASKED_MAX].to_vec(),
                    false => usual,
                }
            }
        };
        Ok(self)
    }

    /// The beginning of all topics of this cluster.
    pub(crate) fn base(&self) -> String {
        format!("tessera/{}", self.id)
    }

    /// What the gateway's device and client are called.
    pub(crate) fn device(&self) -> String {
        format!("tessera_{}", self.id)
    }
}

/// What the gateway is, for people.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Version of the program.
    pub version: String,
    /// The network, and how many boards compute it.
    pub model: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(text: &str) -> Result<String, String> {
        let read = text.parse::<Broker>().map_err(|e| e.to_string())?;
        Ok(read.to_string())
    }

    #[test]
    fn brokers_have_addresses() {
        for (text, shown) in [
            ("hub.local", "hub.local:1883"),
            ("192.168.1.5:1884", "192.168.1.5:1884"),
            ("mqtt://hub", "hub:1883"),
            ("fd00::5", "[fd00::5]:1883"),
            ("[fd00::5]:7", "[fd00::5]:7"),
        ] {
            assert_eq!(broker(text).unwrap(), shown);
        }
        for text in ["", "a:b", "me:pw@hub", "mqtts://hub", ":1883"] {
            assert!(broker(text).unwrap_err().contains("HOST:PORT"), "{text}");
        }
    }

    fn settings() -> Settings {
        Settings::new("hub".parse().unwrap(), "a1b2c3")
    }

    #[test]
    fn logins_are_in_files_of_their_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("login");
        let with = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            settings().with_login(&path)
        };
        let login = with("me:a:b\n", 0o600).unwrap().login.unwrap();
        assert_eq!(
            (login.user.as_str(), login.password.as_str()),
            ("me", "a:b")
        );
        assert!(!format!("{login:?}").contains("a:b"));
        assert!(
            with("me:a", 0o644)
                .unwrap_err()
                .to_string()
                .contains("chmod 600")
        );
        assert!(
            with("nothing", 0o600)
                .unwrap_err()
                .to_string()
                .contains("USER:PASSWORD")
        );
        assert!(settings().with_login(&dir.path().join("none")).is_err());
    }

    #[test]
    fn classes_are_those_that_people_ask_for() {
        let labels: Vec<String> = (0..80).map(|n| format!("c{n}")).collect();
        let mut coco = labels.clone();
        coco[3] = "person".into();
        coco[7] = "dog".into();
        let classes =
            |asked, labels: &[String]| settings().with_classes(asked, labels).map(|s| s.classes);
        assert_eq!(classes(None, &coco).unwrap(), ["person", "dog"]);
        assert_eq!(classes(None, &labels).unwrap().len(), UNASKED_MAX);
        assert_eq!(classes(None, &labels[..3]).unwrap(), labels[..3]);
        assert_eq!(classes(Some("c1, c5"), &labels).unwrap(), ["c1", "c5"]);
        let e = classes(Some("cat"), &labels[..2]).unwrap_err().to_string();
        assert!(e.contains("its classes are c0, c1"), "{e}");
        assert!(settings().with_prefix("a/#").is_err() && settings().with_prefix("/a").is_err());
        assert_eq!(settings().with_prefix("").unwrap().prefix, None);
    }
}
