//! `lastword config explain NAME`

use lastword_broker::config::{Explanation, NameKind, explain, nearest_name};
use serde::Serialize;

use super::SCHEMA_VERSION;
use crate::error::{CliError, Exit, Result};
use crate::output::{self, OutputFormat};

#[derive(clap::Args)]
pub struct Args {
    /// A setting of the broker or of a topic
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: OutputFormat,
}

#[derive(Serialize)]
struct Document {
    schema_version: u32,
    settings: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    name: String,
    scope: &'static str,
    /// `honoured`, `without-meaning` or `refused`.
    here: &'static str,
    r#type: Option<&'static str>,
    default: Option<String>,
    values: Option<String>,
    dynamic: bool,
    text: String,
    in_kafka: Option<&'static str>,
    twins: Vec<&'static str>,
}

pub fn run(args: &Args) -> Result<()> {
    let mut settings = Vec::new();
    for name in &args.names {
        let explained = explain(name).ok_or_else(|| {
            let error = CliError::new(
                Exit::No,
                "UNKNOWN_SETTING",
                format!("there is no setting {name}"),
            );
            match nearest_name(name) {
                Some(nearest) => error.hint(format!("lastword config explain {nearest}")),
                None => error.hint("lastword config print --effective names all of them"),
            }
        })?;
        settings.push(shown(explained));
    }
    if args.format == OutputFormat::Json {
        return output::json(&Document {
            schema_version: SCHEMA_VERSION,
            settings,
        });
    }
    let texts: Vec<String> = settings.iter().map(text).collect();
    output::text(&texts.join("\n"))
}

fn shown(explained: Explanation) -> Shown {
    Shown {
        scope: explained.scope,
        here: match explained.kind {
            NameKind::Honoured => "honoured",
            NameKind::WithoutMeaning => "without-meaning",
            NameKind::Refused => "refused",
            NameKind::Unknown => "unknown",
        },
        r#type: explained.value_type,
        default: explained.default,
        values: explained.range,
        dynamic: explained.is_dynamic,
        text: explained.doc,
        in_kafka: explained.in_kafka,
        twins: explained.twins,
        name: explained.name,
    }
}

fn text(shown: &Shown) -> String {
    let mut text = format!("{}  (of a {})\n  {}\n", shown.name, shown.scope, shown.text);
    let mut line = |name: &str, value: &str| text.push_str(&format!("  {name:<11}{value}\n"));
    if let Some(value_type) = shown.r#type {
        let values = shown.values.as_deref().map(|values| format!(", {values}"));
        line(
            "values",
            &format!("{value_type}{}", values.unwrap_or_default()),
        );
        line("default", shown.default.as_deref().unwrap_or("none"));
        let change = match (shown.scope, shown.dynamic) {
            ("topic", _) => "at any time: lastword topic alter TOPIC -s NAME=VALUE",
            (_, true) => "at any time: lastword config set NAME=VALUE, or the file and SIGHUP",
            (_, false) => "at the start only",
        };
        line("change", change);
    }
    let kafka = shown
        .in_kafka
        .unwrap_or(match shown.name.starts_with("lastword.") {
            true => "not there",
            false => "the same",
        });
    line("in Kafka", kafka);
    if !shown.twins.is_empty() {
        line("see also", &shown.twins.join(", "));
    }
    text
}
