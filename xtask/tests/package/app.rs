//! `home-assistant/`: its files by the rules that Home Assistant's supervisor has for apps, and its script with a supervisor and a
//! node that stand in.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use serde_json::{Value, json};
use tessera_needs::needs;

use crate::common::{packages, run, scratch};

fn app() -> PathBuf {
    packages().join("home-assistant/tessera")
}

fn yaml(path: &Path) -> Value {
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let said = run(Command::new("python3").args(["-c", script]).arg(path));
    serde_json::from_str(&said).unwrap()
}

#[needs(python3_yaml)]
#[test]
fn the_supervisor_takes_the_app() {
    let repository = yaml(&packages().join("home-assistant/repository.yaml"));
    assert_eq!(repository["name"], "Tessera");
    assert_eq!(repository["maintainer"], "Ada <ada@example.org>");
    let config = yaml(&app().join("config.yaml"));
    let text = |key: &str| {
        config[key]
            .as_str()
            .unwrap_or_else(|| panic!("{key}: {config}"))
    };
    // It becomes the tag of a container image.
    let version = text("version");
    assert!(version.starts_with("0.1.0-") && !version.contains('+'));
    assert_eq!(text("slug"), "tessera");
    assert!(!text("description").is_empty());
    assert_eq!(text("startup"), "application");
    let processors = config["arch"].as_array().unwrap();
    assert!(!processors.is_empty());
    for processor in processors {
        let processor = processor.as_str().unwrap();
        assert!(["aarch64", "amd64"].contains(&processor));
        for file in ["node", "weights.bin", "weights.names"] {
            assert!(app().join(processor).join(file).is_file(), "{file}");
        }
    }
    assert_eq!(
        config["map"][0],
        json!({"type": "addon_config", "read_only": true})
    );
    assert_eq!(config["services"], json!(["mqtt:want"]));
    // Every option has a form, and a name and a description that people read.
    let schema = config["schema"].as_object().unwrap();
    for key in config["options"].as_object().unwrap().keys() {
        assert!(schema.contains_key(key), "{key}");
    }
    let english = yaml(&app().join("translations/en.yaml"));
    for (key, form) in schema {
        let form = form.as_str().unwrap().trim_end_matches('?');
        assert!(
            ["str", "password", "list(gateway|edge)"].contains(&form),
            "{form}"
        );
        assert!(english["configuration"][key]["name"].is_string(), "{key}");
        assert!(
            english["configuration"][key]["description"].is_string(),
            "{key}"
        );
    }
    let dockerfile = fs::read_to_string(app().join("Dockerfile")).unwrap();
    for line in dockerfile.lines().filter_map(|l| l.strip_prefix("COPY ")) {
        let from = line.split(' ').next().unwrap();
        let from = from.replace("${BUILD_ARCH}", processors[0].as_str().unwrap());
        assert!(app().join(&from).exists(), "{from}");
    }
    let icon = fs::read(app().join("icon.png")).unwrap();
    assert!(icon.starts_with(b"\x89PNG"));
    let [width, height] =
        [16, 20].map(|at| u32::from_be_bytes(icon[at..at + 4].try_into().unwrap()));
    assert_eq!((width, height), (128, 128));
}

/// A supervisor that answers one question about the broker, to those who have the token.
fn supervisor(broker: Option<Value>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let asked: Vec<String> = lines
            .map_while(Result::ok)
            .take_while(|l| !l.is_empty())
            .collect();
        let knows = asked.iter().any(|l| l == "Authorization: Bearer token-7");
        let is_it = asked[0].starts_with("GET /services/mqtt ");
        let (status, body) = match broker {
            Some(data) if knows && is_it => ("200 OK", json!({"result": "ok", "data": data})),
            _ => ("400 Bad Request", json!({"result": "error"})),
        };
        let body = body.to_string();
        let _ = write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
    });
    address
}

/// Runs the app's script with these options; the words with which it starts the node, and the folder of its secrets.
fn start(name: &str, options: &Value, broker: Option<Value>) -> (Vec<String>, PathBuf) {
    let dir = scratch(name);
    for sub in ["data", "config", "home"] {
        fs::create_dir(dir.join(sub)).unwrap();
    }
    fs::write(dir.join("data/options.json"), options.to_string()).unwrap();
    for file in ["cluster.toml", "cluster.secret", "hub.key"] {
        fs::write(dir.join("config").join(file), file).unwrap();
    }
    let node = dir.join("home/node");
    fs::write(&node, "#!/bin/sh\nprintf '%s\\n' \"$@\"\n").unwrap();
    fs::set_permissions(&node, fs::Permissions::from_mode(0o755)).unwrap();
    let said = run(Command::new("sh")
        .arg(app().join("run.sh"))
        .env("TESSERA_DATA", dir.join("data"))
        .env("TESSERA_CONFIG", dir.join("config"))
        .env("TESSERA_HOME", dir.join("home"))
        .env("TESSERA_SECRETS", dir.join("secrets"))
        .env("TESSERA_SUPERVISOR", supervisor(broker))
        .env("SUPERVISOR_TOKEN", "token-7"));
    (
        said.lines().map(str::to_owned).collect(),
        dir.join("secrets"),
    )
}

fn after<'a>(words: &'a [String], flag: &str) -> Option<&'a str> {
    let at = words.iter().position(|w| w == flag)?;
    words.get(at + 1).map(String::as_str)
}

#[needs(jq, curl)]
#[test]
fn the_script_starts_the_node_as_the_options_say() {
    let options = json!({
        "name": "hub", "role": "gateway", "cores": "--threads 4 --workers 2",
        "http_token": "a word", "flags": "--log debug",
    });
    let broker = json!({"host": "core-mosquitto", "port": 1883, "ssl": false, "username": "u", "password": "p$ '1"});
    let (words, secrets) = start("app-all", &options, Some(broker));
    assert_eq!(words[0], "gateway");
    assert_eq!(after(&words, "--name"), Some("hub"));
    assert_eq!(after(&words, "--workers"), Some("2"));
    assert_eq!(after(&words, "--log"), Some("debug"));
    assert_eq!(after(&words, "--http"), Some("0.0.0.0:32168"));
    assert_eq!(after(&words, "--mqtt"), Some("core-mosquitto:1883"));
    let read = |flag: &str| {
        let path = Path::new(after(&words, flag).unwrap());
        assert!(path.starts_with(&secrets));
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{flag}");
        fs::read_to_string(path).unwrap()
    };
    assert_eq!(read("--key"), "hub.key");
    assert_eq!(read("--secret"), "cluster.secret");
    assert_eq!(read("--http-token"), "a word\n");
    assert_eq!(read("--mqtt-login"), "u:p$ '1\n");

    // Without a broker and a word: this machine alone is answered.
    let options = json!({"name": "hub", "role": "gateway", "cores": "--threads 4"});
    let (words, _) = start("app-few", &options, None);
    assert_eq!(after(&words, "--http"), Some("127.0.0.1:32168"));
    assert!(
        !words
            .iter()
            .any(|w| w.starts_with("--mqtt") || w == "--http-token")
    );

    let options = json!({"name": "hub", "role": "edge", "cores": "--workers 3"});
    let (words, _) = start("app-edge", &options, None);
    assert_eq!(words[0], "edge");
    assert!(!words.iter().any(|w| w == "--http" || w == "--records"));
}
