//! `--format json` of every command, held against what `--format help` promises; and errors as JSON.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::support::{Broker, lastword, temporary};

/// What is printed for a shell or a person only, or runs for ever.
const WITHOUT_JSON: [&str; 4] = ["serve", "completions", "man", "generate"];

/// The part of JSON Schema that the schemas use. Where, and what is wrong.
fn violation(schema: &Value, value: &Value, place: &str) -> Option<String> {
    let wrong = |what: &str| Some(format!("{place}: {what}: {value}"));
    if schema.get("not").is_some() {
        return wrong("a shape that does not exist");
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let mut found = any.iter().map(|schema| violation(schema, value, place));
        return match found.any(|it| it.is_none()) {
            true => None,
            false => violation(&any[0], value, place),
        };
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        return wrong("not one of the words");
    }
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{place}: the type {other} is not JSON Schema's"),
    };
    let is_typed = match &schema["type"] {
        Value::String(name) => is(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(is),
        _ => true,
    };
    if !is_typed {
        return wrong(&format!("not of type {}", schema["type"]));
    }
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        let mut each = values.iter().enumerate();
        return each.find_map(|(at, value)| violation(items, value, &format!("{place}[{at}]")));
    }
    let (Some(properties), Some(fields)) = (schema["properties"].as_object(), value.as_object())
    else {
        return None;
    };
    let mut required = schema["required"].as_array().into_iter().flatten();
    if let Some(missing) = required.find(|name| !fields.contains_key(name.as_str().unwrap_or("?")))
    {
        return wrong(&format!("{missing} is missing"));
    }
    fields.iter().find_map(|(name, value)| {
        let place = format!("{place}.{name}");
        match (properties.get(name), &schema["additionalProperties"]) {
            (Some(schema), _) => violation(schema, value, &place),
            (None, Value::Bool(false)) => Some(format!("{place} is not in the schema")),
            (None, others) => violation(others, value, &place),
        }
    })
}

/// The commands that have a schema, from the message that lists them.
fn commands_with_schema() -> BTreeSet<String> {
    let said = lastword("", &["man", "--format", "help"], b"").fails(2);
    let list = said.split("these do: ").nth(1).expect("a list");
    let list = list.lines().next().unwrap_or_default();
    list.split(", ").map(str::to_owned).collect()
}

fn schema_of(command: &str) -> Value {
    let mut args: Vec<&str> = command.split(' ').collect();
    args.extend(["--format", "help"]);
    let text = lastword("", &args, b"").ok();
    serde_json::from_str(&text).expect("a schema")
}

#[test]
fn what_every_command_prints_as_json_is_what_its_schema_says() {
    let data = temporary();
    let (before, after) = (temporary(), temporary());
    let broker = Broker::start_with(data.path(), &["--http", "127.0.0.1:0"]);
    let http = broker.http();
    let mut left = commands_with_schema();
    let mut hold = |line: &str, input: &str, code: i32| {
        let args: Vec<&str> = line
            .split(' ')
            .map(|word| if word == "@http" { &http } else { word })
            .collect();
        let run = broker.run_with(&args, input);
        assert_eq!(run.code, code, "{line}: {}{}", run.out, run.err);
        let place = (1..=args.len())
            .rev()
            .map(|words| args[..words].join(" "))
            .find(|name| {
                !lastword(
                    "",
                    &[name.split(' ').collect(), vec!["--format", "help"]].concat(),
                    b"",
                )
                .out
                .is_empty()
            });
        let name = place.expect("a command");
        let schema = schema_of(&name);
        let title = schema["title"]
            .as_str()
            .unwrap_or_default()
            .replace("lastword ", "");
        assert!(run.out.lines().count() > 0, "{line} printed nothing");
        for text in run.out.lines() {
            let value = serde_json::from_str(text)
                .unwrap_or_else(|error| panic!("{line}: {error}: {text}"));
            if let Some(wrong) = violation(&schema, &value, &title) {
                panic!("{line}: {wrong}");
            }
        }
        left.remove(&title);
    };
    hold("topic create prices --compact --format json", "", 0);
    hold("topic create prices --if-not-exists --format json", "", 0);
    hold(
        "produce prices -K: -o json",
        "AAPL:191\nMSFT:410\nAAPL:192\n",
        0,
    );
    hold("consume prices -e --format json", "", 0);
    hold("consume prices -g app -n 1 --format json", "", 0);
    hold("group ls --http @http --format json", "", 0);
    hold("group describe app --http @http --format json", "", 0);
    hold("group describe app --format json", "", 0);
    hold("group seek app --to start --format json", "", 0);
    hold("group delete app --dry-run --format json", "", 0);
    hold(
        "group offset-delete app --topic prices -y --format json",
        "",
        0,
    );
    hold("topic offsets prices --at -1h --format json", "", 0);
    hold("topic trim prices -o 1 --dry-run --format json", "", 0);
    hold("topic ls --http @http --format json", "", 0);
    hold("topic ls --format json", "", 0);
    hold("topic list --internal --format json", "", 0);
    hold(
        "topic describe prices --all --map --http @http --format json",
        "",
        0,
    );
    hold(
        "topic alter prices -s segment.bytes=1MiB --format json",
        "",
        0,
    );
    hold("compact prices --explain --http @http --format json", "", 0);
    hold("compact prices --dry-run --http @http --format json", "", 0);
    let from = data.path().join("prices-0");
    let copy = |to: &Path| {
        let to = to.join("prices-0");
        std::fs::create_dir(&to).expect("directory");
        for file in std::fs::read_dir(&from)
            .expect("files")
            .map_while(Result::ok)
        {
            std::fs::copy(file.path(), to.join(file.file_name())).expect("copy");
        }
    };
    copy(before.path());
    hold(
        "compact prices --roll --wait --http @http --format json",
        "",
        0,
    );
    copy(after.path());
    hold("compact status --http @http --format json", "", 0);
    hold("compact pause prices --http @http --format json", "", 0);
    hold("compact status prices:0 --http @http --format json", "", 0);
    hold("compact resume prices --http @http --format json", "", 0);
    hold("get prices AAPL --http @http --format json", "", 0);
    hold("produce prices -k AAPL -Z -o json", "", 0);
    hold("get prices AAPL --http @http --format json", "", 1);
    hold("check ready --http @http --format json", "", 0);
    hold("check live --http @http --format json", "", 0);
    hold("version --format json", "", 0);
    hold(
        "config explain segment.bytes log.cleaner.threads --format json",
        "",
        0,
    );
    hold("config print --effective --origin --format json", "", 0);
    hold("config set log.cleaner.threads=2 --format json", "", 0);
    let file = before.path().join("server.properties");
    std::fs::write(&file, "log.cleaner.threads=soon\nnum.partitions=3\n").expect("file");
    hold(
        &format!("config check {} --format json", file.display()),
        "",
        1,
    );
    std::fs::write(&file, "num.partitions=3\n").expect("file");
    let differs = format!("config diff {} --format json", file.display());
    let code = broker.run(&differs.split(' ').collect::<Vec<_>>()).code;
    hold(&differs, "", code);
    hold("topic delete prices --dry-run --format json", "", 0);
    let dump = format!("dump {} --records --format json", from.display());
    hold(&dump, "", 0);
    let (old, new) = (before.path().display(), after.path().display());
    let verify = format!("verify {old} {new} --format json");
    let code = broker.run(&verify.split(' ').collect::<Vec<_>>()).code;
    hold(&verify, "", code);
    // A directory without a broker is cleaned with the same words.
    hold(&format!("compact --data-dir {new} --format json"), "", 0);
    // `demo` is run by its own test, and held against its schema there.
    left.remove("demo");
    let unknown: Vec<&String> = left.iter().collect();
    assert!(
        unknown.is_empty(),
        "say above how these are run: {unknown:?}"
    );
}

/// Used by the test of the demo, which runs it once.
pub fn holds(command: &str, document: &Value) {
    assert_eq!(violation(&schema_of(command), document, command), None);
}

#[test]
fn a_command_prints_json_or_is_known_not_to() {
    let known = commands_with_schema();
    for words in crate::shell::commands(&[]) {
        let name = words.join(" ");
        // A noun has verbs, and prints nothing itself.
        let is_noun = crate::shell::commands(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let without = WITHOUT_JSON.contains(&words[0].as_str());
        assert!(
            known.contains(&name) || without || !is_noun.is_empty(),
            "`{name}` has no shape in crates/cli/src/schema/shapes.json"
        );
    }
}

#[test]
fn errors_are_json_where_json_is_wanted() {
    let data = temporary();
    let broker = Broker::start(data.path());
    broker.run(&["topic", "create", "prices"]).ok();
    let cases: [(&[&str], i32, &str); 7] = [
        (
            &["topic", "create", "prices", "--format", "json"],
            4,
            "TOPIC_ALREADY_EXISTS",
        ),
        (
            &["topic", "describe", "prises", "--format=json"],
            4,
            "UNKNOWN_TOPIC_OR_PARTITION",
        ),
        (
            &["topic", "ls", "--no-such-flag", "--format", "json"],
            2,
            "USAGE",
        ),
        (&["get", "--format", "json"], 2, "USAGE"),
        (&["dump", "/no/such/place", "--format", "json"], 2, ""),
        (
            &[
                "check",
                "ready",
                "--http",
                "127.0.0.1:1",
                "--format",
                "json",
            ],
            3,
            "UNREACHABLE",
        ),
        (
            &["topic", "delete", "prices", "--format", "json"],
            2,
            "NOT_CONFIRMED",
        ),
    ];
    for (args, code, name) in cases {
        let run = broker.run(args);
        let err = run.fails(code);
        let document: Value =
            serde_json::from_str(&err).unwrap_or_else(|error| panic!("{args:?}: {error}: {err}"));
        let error = document["error"].as_object().expect("error");
        let found = error["code"].as_str().expect("code");
        assert!(
            found == name || (name.is_empty() && !found.is_empty()),
            "{args:?}: {err}"
        );
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{err}"
        );
        assert!(error.contains_key("hint"), "{err}");
    }
}
