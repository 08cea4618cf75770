//! The devices that Home Assistant is told of (the device form of its MQTT discovery, one message a device).
//!
//! Topics are whole: Home Assistant does not put a base before those of a device's components. Ids never change, so that
//! histories go on: they are made of the cluster's id and of names.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{
    known_board::KnownBoard,
    message::Message,
    settings::{About, Settings},
    slug::slug,
};

/// Most components of a device.
const COMPONENTS_MAX: usize = 1000;
/// A measurement that is not said again counts as unknown after so many seconds.
const EXPIRE_S: u32 = 60;

/// All devices: the gateway with what its sources show, and the boards.
pub fn devices(
    settings: &Settings,
    about: &About,
    prefix: &str,
    sources: &[&str],
    boards: &BTreeMap<String, KnownBoard>,
) -> Vec<Message> {
    let mut devices = vec![device(
        prefix,
        &settings.device(),
        json!({
            "identifiers": [settings.device()],
            "name": "Tessera",
            "manufacturer": "Tessera",
            "model": about.model,
            "sw_version": about.version,
        }),
        settings,
        about,
        components(settings, sources),
    )];
    for (name, known) in boards {
        let id = format!("{}_{name}", settings.device());
        let about_it = json!({
            "identifiers": [id],
            "name": format!("Tessera {}", known.board.name),
            "manufacturer": "Tessera",
            "model": "Board",
            "sw_version": about.version,
            "via_device": settings.device(),
        });
        let all = of_board(settings, &id, name, known);
        devices.push(device(prefix, &id, about_it, settings, about, all));
    }
    devices
}

/// A board's connection, and what it has said of itself.
fn of_board(settings: &Settings, id: &str, name: &str, known: &KnownBoard) -> Map<String, Value> {
    let base = format!("{}/board/{name}", settings.base());
    let link = json!({
        "platform": "binary_sensor",
        "unique_id": format!("{id}_link"),
        "name": "Connection",
        "device_class": "connectivity",
        "entity_category": "diagnostic",
        "state_topic": format!("{base}/status"),
        "payload_on": "online",
        "payload_off": "offline",
        "default_entity_id": format!("binary_sensor.tessera_{name}_connection"),
    });
    let mut all = Map::from_iter([("link".to_owned(), link)]);
    if known.has_temperature {
        let temperature = json!({
            "platform": "sensor",
            "unique_id": format!("{id}_temperature"),
            "name": "Temperature",
            "device_class": "temperature",
            "unit_of_measurement": "°C",
            "state_class": "measurement",
            "entity_category": "diagnostic",
            "state_topic": format!("{base}/health"),
            // `None` counts as unknown.
            "value_template": "{{ value_json.temperature_c }}",
            "expire_after": EXPIRE_S,
            "default_entity_id": format!("sensor.tessera_{name}_temperature"),
        });
        all.insert("temperature".into(), temperature);
    }
    if known.has_throttled {
        let throttled = json!({
            "platform": "binary_sensor",
            "unique_id": format!("{id}_throttled"),
            "name": "Slowed down",
            "device_class": "problem",
            "entity_category": "diagnostic",
            "state_topic": format!("{base}/health"),
            "value_template":
                "{{ 'None' if value_json.throttled is none else 'ON' if value_json.throttled else 'OFF' }}",
            "expire_after": EXPIRE_S,
            "default_entity_id": format!("binary_sensor.tessera_{name}_slowed_down"),
        });
        all.insert("throttled".into(), throttled);
    }
    all
}

/// The topic of a device's configuration.
pub fn topic(prefix: &str, id: &str) -> String {
    format!("{prefix}/device/{id}/config")
}

fn device(
    prefix: &str,
    id: &str,
    device: Value,
    settings: &Settings,
    about: &About,
    components: Map<String, Value>,
) -> Message {
    let text = json!({
        "device": device,
        "origin": { "name": "tessera", "sw_version": about.version },
        "availability": [{ "topic": format!("{}/status", settings.base()) }],
        "components": components,
    });
    Message {
        topic: topic(prefix, id),
        payload: text.to_string().into_bytes(),
        retain: true,
    }
}

/// What sources show: a count and an occupancy of each class, rate and latency.
fn components(settings: &Settings, sources: &[&str]) -> Map<String, Value> {
    let mut all = Map::new();
    let device = settings.device();
    for source in sources {
        let base = format!("{}/{source}", settings.base());
        let mut add = |key: String, mut component: Value| {
            if all.len() < COMPONENTS_MAX
                && let Some(fields) = component.as_object_mut()
            {
                fields.insert("unique_id".into(), format!("{device}_{key}").into());
                all.insert(key, component);
            }
        };
        for (what, name, template, unit, class) in [
            ("fps", "rate", "fps", "fps", None),
            ("latency", "latency", "latency_ms", "ms", Some("duration")),
        ] {
            let mut sensor = json!({
                "platform": "sensor",
                "name": format!("{source} {name}"),
                "state_topic": format!("{base}/stats"),
                "value_template": format!("{{{{ value_json.{template} }}}}"),
                "unit_of_measurement": unit,
                "state_class": "measurement",
                "entity_category": "diagnostic",
                "expire_after": EXPIRE_S,
                "default_entity_id": format!("sensor.tessera_{source}_{what}"),
            });
            if let (Some(class), Some(fields)) = (class, sensor.as_object_mut()) {
                fields.insert("device_class".into(), class.into());
            }
            add(format!("{source}_{what}"), sensor);
        }
        for class in &settings.classes {
            let plain = slug(class);
            let topic = format!("{base}/{plain}");
            add(
                format!("{source}_n_{plain}"),
                json!({
                    "platform": "sensor",
                    "name": format!("{source} {class} count"),
                    "state_topic": topic,
                    "state_class": "measurement",
                    "icon": "mdi:counter",
                    "default_entity_id": format!("sensor.tessera_{source}_{plain}"),
                }),
            );
            add(
                format!("{source}_occ_{plain}"),
                json!({
                    "platform": "binary_sensor",
                    "name": format!("{source} {class}"),
                    "device_class": "occupancy",
                    "state_topic": topic,
                    "value_template": "{{ 'ON' if value|int(0) > 0 else 'OFF' }}",
                    "default_entity_id": format!("binary_sensor.tessera_{source}_{plain}"),
                }),
            );
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Board, BoardHealth};

    /// Home Assistant's rules of a device's message, as far as a message can break them.
    fn valid(message: &Message) -> Value {
        let words: Vec<&str> = message.topic.split('/').collect();
        let ["homeassistant", "device", id, "config"] = words[..] else {
            panic!("{}", message.topic);
        };
        let is_plain = |s: &str| {
            !s.is_empty()
                && s.chars()
                    .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
        };
        assert!(is_plain(id) && message.retain);
        let text: Value = serde_json::from_slice(&message.payload).unwrap();
        assert!(
            !text.to_string().contains('~'),
            "bases are not put before components' topics"
        );
        assert!(text["device"]["identifiers"][0].is_string() && text["origin"]["name"].is_string());
        for part in text["availability"].as_array().unwrap() {
            assert!(part["topic"].as_str().unwrap().starts_with("tessera/"));
        }
        let mut ids = Vec::new();
        for (key, component) in text["components"].as_object().unwrap() {
            assert!(is_plain(key), "{key}");
            let platform = component["platform"].as_str().unwrap();
            assert!(["sensor", "binary_sensor"].contains(&platform));
            assert!(
                component["state_topic"]
                    .as_str()
                    .unwrap()
                    .starts_with("tessera/")
            );
            assert!(
                component["default_entity_id"]
                    .as_str()
                    .unwrap()
                    .starts_with(&format!("{platform}."))
            );
            assert!(component.get("object_id").is_none(), "dropped in 2026.4");
            ids.push(component["unique_id"].as_str().unwrap().to_owned());
        }
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "ids differ");
        text
    }

    #[test]
    fn devices_keep_home_assistants_rules() {
        let settings = Settings::new("hub".parse().unwrap(), "A1-b2");
        let labels = ["person", "traffic light"].map(String::from);
        let settings = settings.with_classes(None, &labels).unwrap();
        let about = About {
            version: "0.1.0".into(),
            model: "yolov2 on 3 boards".into(),
        };
        let mut porch = KnownBoard::default();
        porch.follow(&Board {
            name: "Porch 2".into(),
            alive: true,
            health: Some(BoardHealth {
                temperature_c: Some(81.0),
                throttled: Some(true),
                ..BoardHealth::default()
            }),
        });
        let boards = BTreeMap::from([("porch_2".to_owned(), porch)]);
        let all = devices(
            &settings,
            &about,
            "homeassistant",
            &["front", "yard"],
            &boards,
        );
        let texts: Vec<Value> = all.iter().map(valid).collect();
        assert_eq!(all[0].topic, "homeassistant/device/tessera_a1_b2/config");
        let gateway = texts[0]["components"].as_object().unwrap();
        assert_eq!(gateway.len(), 2 * (2 + 2 * 2));
        let light = &gateway["yard_occ_traffic_light"];
        assert_eq!(light["state_topic"], "tessera/a1_b2/yard/traffic_light");
        assert_eq!(light["device_class"], "occupancy");
        assert_eq!(texts[1]["device"]["via_device"], "tessera_a1_b2");
        assert_eq!(
            texts[1]["components"]["link"]["device_class"],
            "connectivity"
        );
        let heat = &texts[1]["components"]["temperature"];
        let topic = "tessera/a1_b2/board/porch_2/health";
        assert_eq!(
            (&heat["state_topic"], &heat["unit_of_measurement"]),
            (&json!(topic), &json!("°C"))
        );
        let throttled = &texts[1]["components"]["throttled"];
        assert_eq!(
            (&throttled["platform"], &throttled["device_class"]),
            (&json!("binary_sensor"), &json!("problem"))
        );
    }

    #[test]
    fn messages_have_a_bound() {
        let settings = Settings::new("hub".parse().unwrap(), "a");
        let labels: Vec<String> = (0..99).map(|n| format!("c{n}")).collect();
        let settings = settings
            .with_classes(Some(&labels.join(",")), &labels)
            .unwrap();
        let sources: Vec<String> = (0..99).map(|n| format!("s{n}")).collect();
        let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
        let all = devices(
            &settings,
            &About::default(),
            "homeassistant",
            &sources,
            &BTreeMap::new(),
        );
        assert_eq!(
            valid(&all[0])["components"].as_object().unwrap().len(),
            COMPONENTS_MAX
        );
    }
}
