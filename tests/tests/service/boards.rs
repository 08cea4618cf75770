//! How boards are, as their edges tell the gateway: a made-up board at 81 degrees that its firmware slows down.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tessera_needs::needs;
use tessera_tests::rig::{Edge, End, SHORT, wait_for};

use crate::{
    common::{LONG, Served},
    metrics::value,
};

/// The files of a hot Raspberry Pi.
fn hot() -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    for (file, text) in [
        ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
        ("sys/class/thermal/thermal_zone0/temp", "81250\n"),
        (
            "sys/devices/platform/soc/soc:firmware/get_throttled",
            "4000c\n",
        ),
        (
            "proc/meminfo",
            "MemTotal: 1048576 kB\nMemAvailable: 307200 kB\n",
        ),
        (
            "proc/net/wireless",
            "Inter-| sta-|\n face | tus |\n wlan0: 0000 54. -56. -256\n",
        ),
    ] {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().context("a folder")?)?;
        std::fs::write(path, text)?;
    }
    Ok(folder)
}

/// An edge on the board whose files these are.
fn on(board: &Path) -> Edge {
    let mut edge = Edge::thief(1);
    edge.flags = vec!["--root".into(), board.display().to_string()];
    edge
}

#[test]
fn a_hot_board_is_told_of() -> Result<()> {
    let (hot, cool) = (hot()?, tempfile::tempdir()?);
    let mut served = Served::start_with(0, &[])?;
    served.cluster.join(&on(hot.path()))?;
    served.cluster.join(&on(cool.path()))?;
    served.joined(2)?;
    let mut client = served.client()?;
    let board = |status: &Value, at: usize| status["boards"][at].clone();
    let status = wait_for(LONG, || {
        let status = client.get("/v1/status")?.json()?;
        let told = |at| board(&status, at)["health"].is_object();
        Ok((told(0) && told(1)).then_some(status))
    })?;
    let health = &board(&status, 0)["health"];
    assert_eq!(health["temperature_c"], 81.25, "{health}");
    assert_eq!(health["throttled"], true);
    assert_eq!(health["throttle_flags"], 0x4_000c);
    assert_eq!(health["memory_bytes"], 1u64 << 30);
    assert_eq!(health["memory_available_bytes"], 300u64 << 20);
    assert_eq!(health["signal_dbm"], -56.0);
    assert!(board(&status, 0)["health_age_s"].as_f64().is_some());
    // A board of which nothing can be read says that it knows nothing.
    let unknown = &board(&status, 1)["health"];
    assert!(unknown["temperature_c"].is_null(), "{unknown}");
    let why = status["why"]["text"].as_str().context("why")?;
    ensure!(
        why == "edge-1 is slowed down because of heat (81 degrees): it needs a heat sink and a fan.",
        "{why}"
    );
    let metrics = client.get("/metrics")?.text();
    for (series, expected) in [
        ("temperature_celsius{edge=\"edge-1\"}", 81.25),
        ("throttled{edge=\"edge-1\",reason=\"throttled\"}", 1.0),
        ("throttled{edge=\"edge-1\",reason=\"under_voltage\"}", 0.0),
        ("throttled{edge=\"edge-2\",reason=\"throttled\"}", 0.0),
        ("memory_available_bytes{edge=\"edge-1\"}", 314_572_800.0),
        ("wifi_signal_dbm{edge=\"edge-1\"}", -56.0),
    ] {
        let found = value(&metrics, &format!("tessera_edge_{series}"));
        assert_eq!(found, Some(expected), "{series}:\n{metrics}");
    }
    ensure!(!metrics.contains("tessera_edge_temperature_celsius{edge=\"edge-2\"}"));
    // What a board said before it went is history.
    served.cluster.edges[0].kill()?;
    wait_for(LONG, || {
        let gone = client.get("/v1/status")?.json()?["boards"][0]["up"] == false;
        Ok(gone.then_some(()))
    })?;
    let metrics = client.get("/metrics")?.text();
    ensure!(!metrics.contains("tessera_edge_temperature_celsius{edge=\"edge-1\"}"));
    let status = client.get("/v1/status")?.json()?;
    assert_eq!(board(&status, 0)["health"]["temperature_c"], 81.25);
    assert_eq!(served.cluster.gateway.stop(SHORT)?, End::Code(0));
    Ok(())
}

#[test]
fn the_edge_on_the_gateways_board_tells_of_it() -> Result<()> {
    let hot = hot()?;
    let served = Served::start(0, &["--root", &hot.path().display().to_string()])?;
    let mut client = served.client()?;
    let status = wait_for(LONG, || {
        let status = client.get("/v1/status")?.json()?;
        Ok(status["boards"][0]["health"].is_object().then_some(status))
    })?;
    assert_eq!(status["boards"][0]["on_gateways_board"], true);
    for health in [&status["boards"][0]["health"], &status["health"]] {
        assert_eq!(health["temperature_c"], 81.25);
    }
    served.stop()
}

/// A broker that ends with the value.
struct Broker {
    _folder: TempDir,
    port: String,
    child: Child,
}

impl Broker {
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let config = folder.path().join("broker.conf");
        // mosquitto gives up root's rights otherwise, and with them this folder.
        let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n");
        std::fs::write(&config, text)?;
        let beside = "/usr/sbin/mosquitto";
        let program = if Path::new(beside).is_file() {
            beside
        } else {
            "mosquitto"
        };
        let child = Command::new(program)
            .arg("-c")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self {
            _folder: folder,
            port: port.to_string(),
            child,
        })
    }

    /// What it keeps at a topic, once it keeps something that `is` right.
    fn wait(&self, topic: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
        wait_for(LONG, || {
            let out = Command::new("mosquitto_sub")
                .args(["-h", "127.0.0.1", "-p", &self.port, "-W", "1", "-C", "1"])
                .args(["-t", topic])
                .output()?;
            let said: Option<Value> = serde_json::from_slice(&out.stdout).ok();
            Ok(said.filter(|v| is(v)))
        })
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[needs(mosquitto)]
#[test]
fn home_assistant_hears_of_a_hot_board() -> Result<()> {
    let (hot, broker) = (hot()?, Broker::start()?);
    let at = format!("127.0.0.1:{}", broker.port);
    let mut served = Served::start_with(0, &["--mqtt", &at, "--mqtt-id", "a1"])?;
    served.cluster.join(&on(hot.path()))?;
    let topic = "tessera/a1/board/edge_1/health";
    let health = broker.wait(topic, |v| v["temperature_c"] == 81.25)?;
    assert_eq!(health["throttled"], true, "{health}");
    assert_eq!(health["memory_available_bytes"], 300u64 << 20);
    let device = broker.wait("homeassistant/device/tessera_a1_edge_1/config", |v| {
        v["components"]["throttled"].is_object()
    })?;
    let parts = &device["components"];
    assert_eq!(parts["temperature"]["state_topic"], topic);
    assert_eq!(parts["temperature"]["device_class"], "temperature");
    assert_eq!(parts["throttled"]["platform"], "binary_sensor");
    assert_eq!(parts["throttled"]["device_class"], "problem");
    served.stop()
}
