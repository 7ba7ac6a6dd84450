//! Where the broker's settings come from, and which one is in force.
//!
//! ```text
//! default  <  file  <  environment  <  --set  <  --data, --listen, --http
//! ```
//! (What is set on a running broker and on a topic is above all of these, and the broker's own business.) The file is the
//! one that is named, else `./server.properties`, else `/etc/lastword/server.properties`, else none. A setting that says
//! the same as another one in other words (`log.retention.hours` and `log.retention.ms`) takes its place, when it comes
//! from a stronger source.
//!
//! Values have their units translated here, and `name=@/path` is the content of that file.

mod environment;
mod file;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::Path;

use lastword_broker::config::same_meaning;

use crate::error::{CliError, Result};
use crate::properties;

#[cfg(test)]
mod tests;

/// Tried in this order when no file is named.
const DEFAULT_FILES: [&str; 2] = ["./server.properties", "/etc/lastword/server.properties"];
/// No file of settings is longer.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// No secret is longer.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// Where a setting stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A line of the file, from 1.
    File { path: String, line: usize },
    /// A variable of the environment.
    Environment(String),
    /// The command line: `--set`, `--data`.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { path, line } => write!(out, "{path}:{line}"),
            Origin::Environment(variable) => write!(out, "environment {variable}"),
            Origin::Flag(flag) => out.write_str(flag),
        }
    }
}

/// One setting that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// As Kafka stores it.
    pub value: String,
    pub origin: Origin,
    /// The value came out of a file of its own, and is not shown.
    pub is_secret: bool,
}

/// A value that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSetting {
    pub name: String,
    pub origin: Origin,
    pub reason: String,
}

/// All settings but the defaults.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub by_name: BTreeMap<String, Setting>,
    /// Values that cannot be read, and a source that cannot.
    pub bad: Vec<BadSetting>,
    /// `CLUSTER_ID` of the environment.
    pub cluster_id: Option<String>,
    /// Which file was read.
    pub file: Option<String>,
}

/// The sources of a command.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `None`: one of the default files, if there is one.
    pub file: Option<String>,
    /// Texts of `--set`.
    pub set: Vec<String>,
    /// Flags that say a setting: its name, value and flag.
    pub flags: Vec<(&'static str, String, &'static str)>,
}

impl Sources {
    /// Reads all of them.
    pub fn read(&self) -> Result<Settings> {
        self.read_with(std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }))
    }

    fn read_with(&self, variables: impl Iterator<Item = (String, String)>) -> Result<Settings> {
        let mut settings = Settings::default();
        let named = self.file.clone();
        let path = named.or_else(|| {
            let is_there = |path: &&str| Path::new(path).is_file();
            DEFAULT_FILES
                .iter()
                .copied()
                .find(is_there)
                .map(str::to_owned)
        });
        if let Some(path) = path {
            let text = file::read(&path, MAX_FILE_BYTES).map_err(|error| {
                CliError::local("CONFIG_FILE", format!("cannot read {path}")).why(error.to_string())
            })?;
            settings.put(file::settings(&path, &text));
            settings.file = Some(path);
        }
        let environment = environment::read(variables);
        settings.cluster_id = environment.cluster_id;
        settings.put(environment.settings);
        let mut given = Vec::new();
        for text in &self.set {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            if name.trim().is_empty() || !text.contains('=') {
                return Err(CliError::usage(format!("`{text}` is no setting"))
                    .hint("--set NAME=VALUE, as in --set log.cleaner.threads=2"));
            }
            let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
            given.push((name, value, Origin::Flag("--set")));
        }
        settings.put(given);
        let flags = self.flags.iter();
        let flags = flags
            .map(|(name, value, flag)| ((*name).to_owned(), value.clone(), Origin::Flag(flag)));
        settings.put(flags.collect());
        Ok(settings)
    }
}

/// The settings of one file and nothing else.
pub fn read_file(path: &str) -> Result<Settings> {
    let sources = Sources {
        file: Some(path.to_owned()),
        ..Sources::default()
    };
    sources.read_with(std::iter::empty())
}

impl Settings {
    /// Adds a source that is stronger than all before it. In one source the later of two equal names wins.
    fn put(&mut self, source: Vec<(String, String, Origin)>) {
        let names: HashSet<&str> = source.iter().map(|(name, ..)| name.as_str()).collect();
        for name in &names {
            for other in same_meaning(name) {
                if !names.contains(other) {
                    self.by_name.remove(other);
                }
            }
        }
        for (name, text, origin) in source {
            match value(&name, &text) {
                Ok((value, is_secret)) => {
                    let setting = Setting {
                        value,
                        origin,
                        is_secret,
                    };
                    self.by_name.insert(name, setting);
                }
                Err(reason) => self.bad.push(BadSetting {
                    name,
                    origin,
                    reason,
                }),
            }
        }
    }

    /// Names and values, for the broker.
    pub fn properties(&self) -> BTreeMap<String, String> {
        let settings = self.by_name.iter();
        settings
            .map(|(name, setting)| (name.clone(), setting.value.clone()))
            .collect()
    }

    /// An error when a value could not be read.
    pub fn check_readable(&self) -> Result<()> {
        match self.bad.first() {
            Some(bad) => {
                let error = CliError::local("INVALID_CONFIG", "these settings are not accepted");
                Err(error
                    .why(format!("{}: {}: {}", bad.origin, bad.name, bad.reason))
                    .hint("lastword config check names all that is wrong"))
            }
            None => Ok(()),
        }
    }
}

/// The value as Kafka stores it, and whether it is a secret.
fn value(name: &str, text: &str) -> Result<(String, bool), String> {
    if let Some(path) = text.strip_prefix('@')
        && path.starts_with('/')
    {
        let cannot = |error: std::io::Error| format!("cannot read {path}: {error}");
        let secret = file::read(path, MAX_SECRET_BYTES).map_err(cannot)?;
        return Ok((secret.trim_end_matches(['\n', '\r']).to_owned(), true));
    }
    let translated = properties::translate(name, text);
    let translated = translated.map_err(|reason| {
        let prefix = format!("{name}: ");
        reason.strip_prefix(&prefix).unwrap_or(&reason).to_owned()
    })?;
    Ok((translated, false))
}
