//! `[service]`: what the gateway speaks over HTTP.

use std::net::{IpAddr, SocketAddr};

use toml::de::DeValue;

use super::table::{Fields, Reader};

const KEYS: [&str; 5] = ["http", "profile", "token", "zmq", "zmq_allow"];
const PROFILES: [&str; 2] = ["deepstack", "codeproject"];

/// Checks the table, if there is one. Nodes read it themselves.
pub(super) fn read(reader: &mut Reader<'_>, top: Fields<'_, '_>) {
    let Some((key, value)) = top.table.iter().find(|(k, _)| k.get_ref() == "service") else {
        return;
    };
    let DeValue::Table(table) = value.get_ref() else {
        let help = "write [service] and http = \"127.0.0.1:32168\" below it";
        reader.error(&key.span(), "`service` is no table", "", help);
        return;
    };
    let span = value.span();
    let fields = Fields {
        table,
        span: &span,
        what: "a service",
    };
    reader.only(fields, &KEYS);
    let http = reader.parsed(fields, "http", |text| {
        text.parse::<SocketAddr>()
            .map_err(|_| "an address with a port is wanted, as in \"127.0.0.1:32168\"")
    });
    if http.is_none() && !table.contains_key("http") {
        let help = "add http = \"127.0.0.1:32168\"";
        reader.error(&span, "this service has no address", "", help);
    }
    reader.text(fields, "token");
    reader.parsed(fields, "profile", |text| {
        let known = PROFILES.contains(&text);
        known.then_some(()).ok_or("deepstack or codeproject")
    });
    reader.parsed(fields, "zmq", |text| {
        is_endpoint(text)
            .then_some(())
            .ok_or("an endpoint is wanted, as in \"tcp://*:5555\" or \"ipc:///run/tessera/zmq\"")
    });
    reader.parsed(fields, "zmq_allow", |text| {
        let all = || {
            text.split(',')
                .all(|ip| ip.trim().parse::<IpAddr>().is_ok())
        };
        (text == "any" || all())
            .then_some(())
            .ok_or("addresses between commas are wanted, or any")
    });
}

fn is_endpoint(text: &str) -> bool {
    if let Some(path) = text.strip_prefix("ipc://") {
        return path.starts_with('/');
    }
    let at = text.strip_prefix("tcp://").unwrap_or_default();
    match at.strip_prefix("*:") {
        Some(port) => port.parse::<u16>().is_ok(),
        None => at.parse::<SocketAddr>().is_ok(),
    }
}
