//! What `--format json` prints, as JSON Schema (draft 2020-12): `lastword topic ls --format help`.
//!
//! `shapes.json` has the shape of every command's document, short enough to be read: `"integer"`, `"string?"` for one that may
//! be null, `"=a|b"` for one of these words, `"@name"` for a shape that has a name, `[..]` for a list, a key with `?` at its
//! end for one that may be missing, the key `*` for any other. Commands that print records print one document a line.
//! A test runs every command and holds what it prints against its schema.

use clap::Command;
use serde_json::{Map, Value, json};

use crate::error::{CliError, Result};
use crate::output;

const SHAPES: &str = include_str!("shapes.json");
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Whether these words ask for a schema: `--format help`, wherever it stands.
pub fn is_asked(words: &[String]) -> bool {
    has_format(words, "help")
}

/// Whether these words ask for JSON, also where they are no command otherwise.
pub fn wants_json(words: &[String]) -> bool {
    has_format(words, "json")
}

fn has_format(words: &[String], format: &str) -> bool {
    let joined = format!("--format={format}");
    let apart = words
        .windows(2)
        .any(|pair| pair[0] == "--format" && pair[1] == format);
    apart || words.contains(&joined)
}

/// Prints the schema of the command that these words name.
pub fn print(command: &Command, words: &[String]) -> Result<()> {
    let path = path_of(command, words);
    let shapes: Map<String, Value> = serde_json::from_str(SHAPES).map_err(|error| {
        CliError::local("SCHEMA", "the shapes in this binary are damaged").why(error.to_string())
    })?;
    let Some(shape) = shapes.get(&path).filter(|_| !path.is_empty()) else {
        let named = shapes.keys().filter(|name| !name.starts_with('@'));
        let names: Vec<&str> = named.map(String::as_str).collect();
        let what = format!("`lastword {path}` prints no JSON document");
        return Err(CliError::usage(what).why(format!("these do: {}", names.join(", "))));
    };
    let mut document = json!({ "$schema": DRAFT, "title": format!("lastword {path}") });
    if let (Some(document), Value::Object(schema)) =
        (document.as_object_mut(), schema(shape, &shapes))
    {
        document.extend(schema);
    }
    output::json(&document)
}

/// `topic ls` for `topic list --format help`: names, not aliases.
fn path_of(root: &Command, words: &[String]) -> String {
    let mut path = Vec::new();
    let mut command = root;
    for word in words {
        if let Some(next) = command.find_subcommand(word) {
            path.push(next.get_name());
            command = next;
        }
    }
    path.join(" ")
}

fn schema(shape: &Value, shapes: &Map<String, Value>) -> Value {
    match shape {
        Value::String(name) => named(name, shapes),
        Value::Array(items) => match items.first() {
            Some(item) => json!({ "type": "array", "items": schema(item, shapes) }),
            None => json!({ "type": "array" }),
        },
        Value::Object(fields) => {
            let mut properties = Map::new();
            let mut required = Vec::new();
            let mut others = Value::Bool(false);
            for (name, shape) in fields {
                match name.strip_suffix('?') {
                    _ if name == "*" => others = schema(shape, shapes),
                    Some(name) => {
                        properties.insert(name.to_owned(), schema(shape, shapes));
                    }
                    None => {
                        properties.insert(name.clone(), schema(shape, shapes));
                        required.push(name.as_str());
                    }
                }
            }
            json!({
                "type": "object",
                "properties": properties,
                "required": required,
                "additionalProperties": others,
            })
        }
        other => json!({ "const": other }),
    }
}

fn named(name: &str, shapes: &Map<String, Value>) -> Value {
    if let Some(words) = name.strip_prefix('=') {
        return json!({ "enum": words.split('|').collect::<Vec<_>>() });
    }
    let (name, is_nullable) = match name.strip_suffix('?') {
        Some(name) => (name, true),
        None => (name, false),
    };
    let schema = match name {
        "any" => return json!({}),
        name if name.starts_with('@') => match shapes.get(name) {
            Some(shape) => schema(shape, shapes),
            None => json!({ "not": {} }),
        },
        name if is_nullable => return json!({ "type": [name, "null"] }),
        name => json!({ "type": name }),
    };
    match is_nullable {
        true => json!({ "anyOf": [schema, { "type": "null" }] }),
        false => schema,
    }
}
