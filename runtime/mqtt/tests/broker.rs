//! A real broker (mosquitto): what it keeps, its will, Home Assistant's birth, logins, its own death.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;
use tessera_mqtt::{About, Board, BoardHealth, Mqtt, Settings, remove};
use tessera_needs::needs;
use tessera_plan::files::records::{Detection, Ending, Found, Record, Subject, Timing};

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// A broker of its own port; ends with the value.
struct Broker {
    dir: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Broker {
    fn start(login: Option<(&str, &str)>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut config = format!(
            "listener {port} 127.0.0.1\nallow_anonymous {}\n",
            login.is_none()
        );
        if let Some((user, password)) = login {
            let file = dir.path().join("passwords");
            let made = Command::new("mosquitto_passwd")
                .arg("-b")
                .arg("-c")
                .arg(&file)
                .args([user, password])
                .status();
            assert!(made.unwrap().success());
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
            config += &format!("password_file {}\n", file.display());
        }
        // mosquitto gives up root's rights otherwise, and with them this folder.
        config += "user root\n";
        fs::write(dir.path().join("broker.conf"), config).unwrap();
        let mut broker = Self {
            dir,
            port,
            child: None,
        };
        broker.begin();
        broker
    }

    fn begin(&mut self) {
        let program = ["/usr/sbin/mosquitto", "mosquitto"];
        let program = program
            .into_iter()
            .find(|p| Path::new(p).is_file())
            .unwrap_or("mosquitto");
        let child = Command::new(program)
            .arg("-c")
            .arg(self.dir.path().join("broker.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.unwrap());
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(begun.elapsed() < LONG, "the broker does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn settings(&self) -> Settings {
        let labels = ["person", "dog"].map(String::from);
        Settings::new(
            format!("127.0.0.1:{}", self.port).parse().unwrap(),
            "a1b2c3",
        )
        .with_classes(None, &labels)
        .unwrap()
    }

    /// What the broker keeps below `filter`, by topic.
    fn kept(&self, filter: &str, login: &[&str]) -> Vec<(String, String)> {
        let out = Command::new("mosquitto_sub")
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "-W",
                "1",
                "-F",
                "%r %t %p",
                "--retained-only",
            ])
            .args(["-t", filter])
            .args(login)
            .output()
            .unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        let line = |l: &str| {
            let mut words = l.splitn(3, ' ').skip(1);
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        };
        text.lines().filter_map(line).collect()
    }

    /// Waits until the broker keeps `value` at `topic`.
    fn wait(&self, topic: &str, value: &str, login: &[&str]) {
        let begun = Instant::now();
        loop {
            let kept = self.kept(topic, login);
            if kept.iter().any(|(t, v)| t == topic && v == value) {
                return;
            }
            assert!(begun.elapsed() < LONG, "{topic} is not {value}: {kept:?}");
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.end();
    }
}

fn record(labels: &[&str]) -> Record {
    let detection = |label: &&str| Detection {
        class: 0,
        label: Some((*label).into()),
        score: 0.5,
        objectness: 0.5,
        bbox: [0.5; 4],
        box_px: [1; 4],
    };
    Record {
        subject: Subject {
            source: 1,
            source_name: Some("front".into()),
            ..Subject::default()
        },
        timing: Some(Timing::default()),
        width: 64,
        height: 48,
        ending: Ending::Computed(Found {
            detections: labels.iter().map(detection).collect(),
            top: None,
        }),
    }
}

fn about() -> About {
    About {
        version: "0.1.0".into(),
        model: "demo".into(),
    }
}

const STATUS: &str = "tessera/a1b2c3/status";
const DEVICE: &str = "homeassistant/device/tessera_a1b2c3/config";

#[needs(mosquitto)]
#[test]
fn values_devices_and_goodbyes_are_kept_and_taken_back() {
    let broker = Broker::start(None);
    let mqtt = Mqtt::start(broker.settings(), about()).unwrap();
    mqtt.boards(&[Board {
        name: "porch".into(),
        alive: true,
        health: Some(BoardHealth {
            temperature_c: Some(81.5),
            throttled: Some(true),
            memory_available_bytes: Some(1 << 20),
            memory_bytes: None,
        }),
    }]);
    mqtt.record(&record(&["person", "person"]));
    broker.wait("tessera/a1b2c3/front/person", "2", &[]);
    broker.wait("tessera/a1b2c3/front/dog", "0", &[]);
    broker.wait("tessera/a1b2c3/board/porch/status", "online", &[]);
    let health = r#"{"memory_available_bytes":1048576,"memory_bytes":null,"temperature_c":81.5,"throttled":true}"#;
    broker.wait("tessera/a1b2c3/board/porch/health", health, &[]);
    broker.wait(STATUS, "online", &[]);
    mqtt.record(&record(&["dog"]));
    broker.wait("tessera/a1b2c3/front/person", "0", &[]);
    // The device came with the first source, or a moment later.
    let begun = Instant::now();
    let device = loop {
        let kept = broker.kept(DEVICE, &[]);
        let found = kept
            .first()
            .map(|(_, text)| serde_json::from_str::<Value>(text).unwrap());
        if let Some(device) = found.filter(|d| d["components"]["front_occ_person"].is_object()) {
            break device;
        }
        assert!(begun.elapsed() < LONG, "{kept:?}");
    };
    assert_eq!(device["availability"][0]["topic"], STATUS);
    assert_eq!(
        device["components"]["front_n_dog"]["state_topic"],
        "tessera/a1b2c3/front/dog"
    );
    assert!(
        !broker
            .kept("homeassistant/device/tessera_a1b2c3_porch/config", &[])
            .is_empty()
    );
    assert!(
        broker
            .kept("tessera/a1b2c3/front/detections", &[])
            .is_empty(),
        "events are not kept"
    );
    drop(mqtt);
    broker.wait(STATUS, "offline", &[]);
    // Another cluster's topics stay.
    let others = "homeassistant/device/tessera_other/config";
    let port = broker.port.to_string();
    let said = Command::new("mosquitto_pub")
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-r",
            "-t",
            others,
            "-m",
            "{}",
        ])
        .status();
    assert!(said.unwrap().success());
    let removed = remove(&broker.settings()).unwrap();
    assert!(removed >= 6, "{removed}");
    assert_eq!(
        broker.kept("#", &[]),
        [(others.to_owned(), "{}".to_owned())]
    );
}

#[needs(mosquitto)]
#[test]
fn a_broker_that_comes_back_and_home_assistants_birth_hear_all_again() {
    let mut broker = Broker::start(None);
    let mqtt = Mqtt::start(broker.settings(), about()).unwrap();
    mqtt.record(&record(&["person"]));
    broker.wait("tessera/a1b2c3/front/person", "1", &[]);
    // It keeps nothing over its death, and what is said meanwhile is not lost.
    broker.end();
    mqtt.record(&record(&["person", "person", "person"]));
    broker.begin();
    broker.wait("tessera/a1b2c3/front/person", "3", &[]);
    broker.wait(STATUS, "online", &[]);
    // Home Assistant begins: what it lost, it hears again.
    let port = broker.port.to_string();
    let publish = |topic: &str, value: &[&str]| {
        let said = Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &port, "-t", topic])
            .args(value)
            .status();
        assert!(said.unwrap().success());
    };
    publish("tessera/a1b2c3/front/person", &["-r", "-n"]);
    publish("homeassistant/status", &["-m", "online"]);
    broker.wait("tessera/a1b2c3/front/person", "3", &[]);
}

#[needs(mosquitto)]
#[test]
fn logins_come_from_a_file_and_a_wrong_one_does_no_harm() {
    let broker = Broker::start(Some(("tess", "open-sesame")));
    let login = ["-u", "tess", "-P", "open-sesame"];
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| -> PathBuf {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    let wrong = broker
        .settings()
        .with_login(&file("wrong", "tess:sesame\n"))
        .unwrap();
    let e = remove(&wrong).unwrap_err().to_string();
    assert!(e.contains("--mqtt-login") && !e.contains("sesame"), "{e}");
    let refused = Mqtt::start(wrong, about()).unwrap();
    // Nobody waits for a broker that refuses.
    for _ in 0..10_000 {
        refused.record(&record(&["person"]));
    }
    drop(refused);
    let right = broker
        .settings()
        .with_login(&file("right", "tess:open-sesame\n"))
        .unwrap();
    let mqtt = Mqtt::start(right, about()).unwrap();
    broker.wait(STATUS, "online", &login);
    drop(mqtt);
    broker.wait(STATUS, "offline", &login);
}

/// Where a process of this test finds the broker.
const PORT: &str = "TESSERA_MQTT_TEST_PORT";

#[needs(mosquitto)]
#[test]
fn a_killed_process_is_offline_by_its_will() {
    let labels = ["person".to_owned()];
    if let Ok(port) = std::env::var(PORT) {
        // The process that is killed.
        let settings = Settings::new(format!("127.0.0.1:{port}").parse().unwrap(), "a1b2c3");
        let _mqtt = Mqtt::start(settings.with_classes(None, &labels).unwrap(), about()).unwrap();
        std::thread::sleep(LONG);
        return;
    }
    let broker = Broker::start(None);
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_process_is_offline_by_its_will"])
        .env(PORT, broker.port.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    broker.wait(STATUS, "online", &[]);
    process.kill().unwrap();
    process.wait().unwrap();
    broker.wait(STATUS, "offline", &[]);
}
