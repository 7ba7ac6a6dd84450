//! `lastword get TOPIC KEY`: the last committed value of a key, from the broker's HTTP address.
//!
//! The value goes to standard output as it is, where and when to standard error. No such key, and a key that was deleted,
//! are exit code 1.

use std::io::{self, IsTerminal, Write};

use lastword_http::client::encode;
use serde::Deserialize;
use serde_json::Value;

use crate::base64;
use crate::error::{CliError, Exit, Result};
use crate::http::HttpArgs;
use crate::output::{self, OutputFormat, say};
use crate::time;

#[derive(clap::Args)]
#[command(after_help = "\
A key is text; hex:6b6579 is its bytes, and json:\"a\\n\" a JSON string.\n\n\
Exit codes: 0 found, 1 no such key or deleted, 2 wrong usage, 3 the broker cannot be reached, 4 the broker refused.\n\n\
Examples:\n  lastword get prices AAPL\n  lastword get prices hex:41 --partition 3 --format json")]
pub struct Args {
    /// A compacted topic
    topic: String,
    /// The key: text, hex:.. or json:..
    key: String,
    /// Look in this partition only, and not in all of them
    #[arg(short, long, value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Say where and when on standard error; on a terminal that is done anyway
    #[arg(long)]
    meta: bool,
    #[command(flatten)]
    http: HttpArgs,
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

impl Args {
    pub fn json(&self) -> bool {
        self.format == OutputFormat::Json
    }
}

#[derive(Deserialize)]
struct Found {
    partition: i32,
    offset: i64,
    timestamp_ms: i64,
    value: Option<Value>,
    headers: Vec<Header>,
    deleted: bool,
    tombstone_until_ms: Option<i64>,
}

#[derive(Deserialize)]
struct Header {
    key: Value,
    value: Option<Value>,
}

pub fn run(args: &Args) -> Result<()> {
    let key = parse_key(&args.key)?;
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut path = format!("/v1/topics/{}/keys/{hex}?encoding=hex", encode(&args.topic));
    if let Some(partition) = args.partition {
        path += &format!("&partition={partition}");
    }
    let answer = args.http.send("GET", &path, None)?;
    if let Some(refusal) = answer.refusal() {
        if refusal.code == "NO_SUCH_KEY" {
            let what = format!("no such key: {}", args.key);
            return Err(CliError::new(Exit::No, "NO_SUCH_KEY", what).why(format!(
                "{} has nothing of it, not even a tombstone",
                args.topic
            )));
        }
        let why = format!("{}: {}", refusal.code, refusal.message);
        return Err(CliError::new(Exit::Refused, &refusal.code, "the broker refused").why(why));
    }
    let document: Value = args.http.decode(&answer)?;
    let found = Found::deserialize(&document).map_err(|error| args.http.bad_answer(&error))?;
    let place = format!(
        "{}-{} offset {}  {}",
        args.topic,
        found.partition,
        found.offset,
        time::rfc3339(found.timestamp_ms)
    );
    if args.json() {
        output::json(&document)?;
    }
    if found.deleted {
        let until = match found.tombstone_until_ms {
            Some(ms) => format!("; its tombstone may go at {}", time::rfc3339(ms)),
            None => "; no cleaning has seen its tombstone yet".to_owned(),
        };
        let what = format!("{} was deleted at {place}{until}", args.key);
        return Err(CliError::new(Exit::No, "DELETED", what));
    }
    if args.json() {
        return Ok(());
    }
    let is_terminal = io::stdout().is_terminal();
    if args.meta || is_terminal {
        say(&place);
        for header in &found.headers {
            let value = header.value.as_ref().map(bytes_of);
            let value = value.map_or("null".into(), |value| text_of(&value));
            say(&format!("  {}: {value}", text_of(&bytes_of(&header.key))));
        }
    }
    let mut value = found.value.as_ref().map(bytes_of).unwrap_or_default();
    if is_terminal {
        value.push(b'\n');
    }
    let mut out = io::stdout().lock();
    out.write_all(&value)?;
    out.flush()?;
    Ok(())
}

/// The bytes of a key as it was typed.
fn parse_key(typed: &str) -> Result<Vec<u8>> {
    let wrong = |why: &str| {
        CliError::usage(format!("`{typed}` is no key"))
            .why(why.to_owned())
            .hint("TEXT, hex:6b6579 or json:\"text\"")
    };
    if let Some(digits) = typed.strip_prefix("hex:") {
        let digits = digits.as_bytes();
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let byte = |pair: &[u8]| Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8);
        let bytes: Option<Vec<u8>> = digits.chunks_exact(2).map(byte).collect();
        bytes
            .filter(|_| digits.len() % 2 == 0)
            .ok_or_else(|| wrong("hex takes two digits for each byte"))
    } else if let Some(text) = typed.strip_prefix("json:") {
        let text: String = serde_json::from_str(text)
            .map_err(|error| wrong(&format!("it is no JSON string: {error}")))?;
        Ok(text.into_bytes())
    } else {
        Ok(typed.as_bytes().to_vec())
    }
}

/// Text, or `{"base64": ".."}`.
fn bytes_of(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.as_bytes().to_vec(),
        other => {
            let text = other["base64"].as_str().unwrap_or_default();
            base64::decode(text).unwrap_or_default()
        }
    }
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::parse_key;

    #[test]
    fn a_key_is_text_hex_or_json() {
        let parse = |typed| parse_key(typed).ok();
        assert_eq!(parse("AAPL"), Some(b"AAPL".to_vec()));
        assert_eq!(parse("hex:00fF"), Some(vec![0, 0xff]));
        assert_eq!(parse("json:\"a\\n\""), Some(b"a\n".to_vec()));
        assert_eq!(parse(""), Some(Vec::new()));
        assert_eq!(parse("hex:"), Some(Vec::new()));
        for typed in ["hex:0", "hex:zz", "json:a", "json:5"] {
            assert_eq!(parse(typed), None, "{typed}");
        }
    }
}
