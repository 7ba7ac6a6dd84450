//! `listeners`, `advertised.listeners` and `lastword.http.listen`.
//!
//! Plaintext listeners for clients, each with an address of its own to tell them: those inside of a container network and
//! those outside need different ones. Listeners of the controller quorum are skipped, so that a
//! file written for Kafka can be used. Anything but loopback is refused unless it is asked for by
//! name: there is no authentication here, and who can connect can delete every topic.

use std::net::IpAddr;

use super::ConfigError;
use crate::metadata::Properties;

const LISTENERS: &str = "listeners";
const ADVERTISED_LISTENERS: &str = "advertised.listeners";
const HTTP_LISTEN: &str = "lastword.http.listen";
const INSECURE_LISTEN: &str = "lastword.insecure.listen";
const DEFAULT_LISTENERS: &str = "PLAINTEXT://127.0.0.1:9092";

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The listener's name, `PLAINTEXT` for most.
    pub name: String,
    /// Host name or address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Listener {
    fn parse(config: &str, text: &str) -> Result<Listener, ConfigError> {
        let refuse = |reason: &str| ConfigError::new(config, text, reason);
        let (name, address) = text
            .split_once("://")
            .ok_or_else(|| refuse("expected NAME://host:port"))?;
        let (host, port) = address
            .rsplit_once(':')
            .ok_or_else(|| refuse("expected NAME://host:port"))?;
        let port = port
            .parse()
            .map_err(|_| refuse("the port is not a number below 65536"))?;
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let host = if host.is_empty() { "0.0.0.0" } else { host };
        Ok(Listener {
            name: name.to_ascii_uppercase(),
            host: host.to_owned(),
            port,
        })
    }

    fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }

    fn is_wildcard(&self) -> bool {
        self.host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_unspecified())
    }
}

/// Most listeners: each costs a task and a socket.
const MAX_LISTENERS: usize = 16;

/// The listeners for clients, at least one; names are unique.
pub(super) fn client_listeners(properties: &Properties) -> Result<Vec<Listener>, ConfigError> {
    let text = properties
        .get(LISTENERS)
        .map_or(DEFAULT_LISTENERS, String::as_str);
    let listeners = for_clients(properties, LISTENERS, text)?;
    if listeners.is_empty() || listeners.len() > MAX_LISTENERS {
        let reason = format!("expected 1 to {MAX_LISTENERS} listeners for clients");
        return Err(ConfigError::new(LISTENERS, text, reason));
    }
    for (index, listener) in listeners.iter().enumerate() {
        if listeners[..index].iter().any(|it| it.name == listener.name) {
            let reason = format!("there are two listeners of the name {}", listener.name);
            return Err(ConfigError::new(LISTENERS, text, reason));
        }
        let protocol = protocol_of(properties, &listener.name);
        if protocol != "PLAINTEXT" {
            let reason = format!("{protocol} is not supported, only PLAINTEXT");
            return Err(ConfigError::new(LISTENERS, text, reason));
        }
        check_is_local(properties, LISTENERS, text, listener)?;
    }
    Ok(listeners)
}

/// The HTTP listener; none when it is switched off.
pub(super) fn http_listener(
    properties: &Properties,
    text: &str,
) -> Result<Option<Listener>, ConfigError> {
    let text = text.trim();
    if text.is_empty() || text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let listener = Listener::parse(HTTP_LISTEN, &format!("HTTP://{text}"));
    let listener = listener
        .map_err(|_| ConfigError::new(HTTP_LISTEN, text, "expected host:port, or off for none"))?;
    check_is_local(properties, HTTP_LISTEN, text, &listener)?;
    Ok(Some(listener))
}

fn check_is_local(
    properties: &Properties,
    config: &str,
    text: &str,
    listener: &Listener,
) -> Result<(), ConfigError> {
    let insecure = properties
        .get(INSECURE_LISTEN)
        .is_some_and(|text| text.trim() == "true");
    if listener.is_loopback() || insecure {
        return Ok(());
    }
    let reason = format!(
        "{} is not a loopback address, and there is no authentication: whoever can connect \
         can read and delete everything. Set {INSECURE_LISTEN}=true if that is meant",
        listener.host
    );
    Err(ConfigError::new(config, text, reason))
}

/// Where clients are told to connect.
pub(super) fn advertised_listener(
    properties: &Properties,
    listener: &Listener,
) -> Result<Listener, ConfigError> {
    let Some(text) = properties.get(ADVERTISED_LISTENERS) else {
        if listener.is_wildcard() {
            let reason = "is needed when listening on all addresses: clients are told to connect \
                          there";
            return Err(ConfigError::new(ADVERTISED_LISTENERS, "", reason));
        }
        return Ok(listener.clone());
    };
    let advertised = for_clients(properties, ADVERTISED_LISTENERS, text)?
        .into_iter()
        .find(|advertised| advertised.name == listener.name)
        .ok_or_else(|| {
            let reason = format!("has no entry for the listener {}", listener.name);
            ConfigError::new(ADVERTISED_LISTENERS, text, reason)
        })?;
    if advertised.is_wildcard() {
        let reason = "clients cannot connect to an address that stands for all addresses";
        return Err(ConfigError::new(ADVERTISED_LISTENERS, text, reason));
    }
    Ok(advertised)
}

fn for_clients(
    properties: &Properties,
    config: &str,
    text: &str,
) -> Result<Vec<Listener>, ConfigError> {
    let controllers = properties
        .get("controller.listener.names")
        .map_or("CONTROLLER", String::as_str);
    let is_controller = |name: &str| {
        controllers
            .split(',')
            .any(|other| other.trim().eq_ignore_ascii_case(name))
    };
    let mut listeners = Vec::new();
    for item in text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
    {
        let listener = Listener::parse(config, item)?;
        if !is_controller(&listener.name) {
            listeners.push(listener);
        }
    }
    Ok(listeners)
}

fn protocol_of(properties: &Properties, name: &str) -> String {
    let map = properties
        .get("listener.security.protocol.map")
        .map_or("", String::as_str);
    map.split(',')
        .filter_map(|item| item.trim().split_once(':'))
        .find(|(listener, _)| listener.eq_ignore_ascii_case(name))
        .map_or_else(
            || name.to_owned(),
            |(_, protocol)| protocol.trim().to_ascii_uppercase(),
        )
}
