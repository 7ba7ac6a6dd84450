//! Values of configs: parsed from text as Kafka parses them, and printed in the same form.

use std::fmt;

use super::table::{ConfigEntry, ConfigType, Validator};
use super::{BrokerSynonym, ConfigError};
use std::collections::BTreeMap;

/// A parsed value. The accessors are for the type that the table promises for the name.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Boolean(bool),
    Long(i64),
    Double(f64),
    Text(String),
    List(Vec<String>),
}

impl Value {
    pub fn boolean(&self) -> bool {
        matches!(self, Value::Boolean(true))
    }

    pub fn long(&self) -> i64 {
        if let Value::Long(value) = self {
            *value
        } else {
            0
        }
    }

    /// An `int` config; the table's type has kept it within 32 bits.
    pub fn int(&self) -> i32 {
        i32::try_from(self.long()).unwrap_or(i32::MAX)
    }

    /// An `int` config that counts something.
    pub fn size(&self) -> u32 {
        u32::try_from(self.long()).unwrap_or(0)
    }

    pub fn double(&self) -> f64 {
        if let Value::Double(value) = self {
            *value
        } else {
            0.0
        }
    }

    pub fn text(&self) -> &str {
        if let Value::Text(text) = self {
            text
        } else {
            ""
        }
    }

    pub fn items(&self) -> &[String] {
        if let Value::List(items) = self {
            items
        } else {
            &[]
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Boolean(value) => write!(formatter, "{value}"),
            Value::Long(value) => write!(formatter, "{value}"),
            // As Java prints it: 0.5, but 1.7976931348623157E308.
            Value::Double(value) if value.abs() >= 1e7 => write!(formatter, "{value:E}"),
            Value::Double(value) => write!(formatter, "{value:?}"),
            Value::Text(text) => formatter.write_str(text),
            Value::List(items) => formatter.write_str(&items.join(",")),
        }
    }
}

impl ConfigEntry {
    /// A value as Kafka shows it: `0.50` is `0.5`. What is not valid is shown as it is.
    pub fn canonical(&self, text: &str) -> String {
        self.parse(text)
            .map_or_else(|_| text.to_owned(), |value| value.to_string())
    }

    /// Checks a value without using it.
    pub fn validate(&self, text: &str) -> Result<(), ConfigError> {
        self.parse(text).map(|_| ())
    }

    /// Parses and validates a value.
    pub(super) fn parse(&self, text: &str) -> Result<Value, ConfigError> {
        let refuse = |reason: String| ConfigError::new(self.name, text, reason);
        let trimmed = text.trim();
        let value = match self.kind {
            ConfigType::Boolean if trimmed.eq_ignore_ascii_case("true") => Value::Boolean(true),
            ConfigType::Boolean if trimmed.eq_ignore_ascii_case("false") => Value::Boolean(false),
            ConfigType::Boolean => return Err(refuse("expected true or false".into())),
            ConfigType::Int => trimmed
                .parse::<i32>()
                .map(|value| Value::Long(value.into()))
                .map_err(|_| refuse("not a number of type int".into()))?,
            ConfigType::Long => trimmed
                .parse()
                .map(Value::Long)
                .map_err(|_| refuse("not a number of type long".into()))?,
            ConfigType::Double => trimmed
                .parse()
                .map(Value::Double)
                .map_err(|_| refuse("not a number of type double".into()))?,
            ConfigType::Text => Value::Text(trimmed.to_owned()),
            ConfigType::List if trimmed.is_empty() => Value::List(Vec::new()),
            ConfigType::List => Value::List(
                trimmed
                    .split(',')
                    .map(|item| item.trim().to_owned())
                    .collect(),
            ),
        };
        self.validator.check(&value).map_err(refuse)?;
        Ok(value)
    }

    /// The value that the broker's configs give to this topic config, in the topic config's unit.
    pub(super) fn broker_value(
        &self,
        properties: &BTreeMap<String, String>,
    ) -> Result<Option<String>, ConfigError> {
        let set = self
            .broker_synonyms
            .iter()
            .find_map(|synonym| Some((synonym, properties.get(synonym.name)?)));
        let Some((BrokerSynonym { name, unit }, text)) = set else {
            return Ok(None);
        };
        if *unit == 1 {
            // Under the name the user wrote, not under the topic's.
            let renamed = |error: ConfigError| ConfigError {
                name: (*name).into(),
                ..error
            };
            self.validate(text).map_err(renamed)?;
            return Ok(Some(text.clone()));
        }
        let refuse = |reason: &str| ConfigError::new(name, text, reason);
        let value: i32 = text
            .trim()
            .parse()
            .map_err(|_| refuse("not a number of type int"))?;
        // Any negative number of hours is "no limit", not that many milliseconds.
        let value = if value < 0 {
            -1
        } else {
            i64::from(value) * unit
        };
        self.validate(&value.to_string())
            .map_err(|error| refuse(&error.reason))?;
        Ok(Some(value.to_string()))
    }
}

impl Validator {
    fn check(&self, value: &Value) -> Result<(), String> {
        match (self, value) {
            (Validator::Any, _) => Ok(()),
            (Validator::AtLeast(least), Value::Long(value)) if value < least => {
                Err(format!("must be at least {least}"))
            }
            (Validator::Between(least, most), Value::Long(value))
                if value < least || value > most =>
            {
                Err(format!("must be from {least} to {most}"))
            }
            (Validator::RatioBetween(least, most), Value::Double(value))
                if !(*least..=*most).contains(value) =>
            {
                Err(format!("must be from {least} to {most}"))
            }
            (Validator::GzipLevel, Value::Long(value))
                if *value != -1 && !(1..=9).contains(value) =>
            {
                Err("must be from 1 to 9, or -1".into())
            }
            (Validator::OneOf(allowed), Value::Text(text)) if !allowed.contains(&text.as_str()) => {
                Err(format!("must be one of {}", allowed.join(", ")))
            }
            (Validator::ItemsOf(allowed), Value::List(items)) => {
                match items.iter().find(|item| !allowed.contains(&item.as_str())) {
                    Some(item) if item.is_empty() => Err("has an empty item".into()),
                    Some(_) => Err(format!("items must be of {}", allowed.join(", "))),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}
