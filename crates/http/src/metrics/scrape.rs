//! `Scrape`: the samples of one answer, and how they are written.
//!
//! No lock: a scrape is one request's.

use std::collections::BTreeMap;
use std::fmt;

use lastword_storage::HistogramView;
use lastword_storage::histogram::BOUNDS_US;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::family::{ALL, Family, Kind};

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus' own, which everything reads.
    Text,
    /// For who asks for it, as Prometheus does.
    OpenMetrics,
}

impl Format {
    /// What a client that sends this `Accept` gets.
    pub fn of_accept(accept: Option<&str>) -> Format {
        match accept.is_some_and(|accept| accept.contains("application/openmetrics-text")) {
            true => Format::OpenMetrics,
            false => Format::Text,
        }
    }

    /// The `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// One sample: the values of the labels, in the order of the family's names, and the value.
#[derive(Debug)]
struct Sample {
    labels: Vec<String>,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Number(f64),
    Histogram(Box<HistogramView>),
}

/// Samples by name.
#[derive(Debug, Default)]
pub(crate) struct Scrape {
    samples: BTreeMap<&'static str, Vec<Sample>>,
}

impl Scrape {
    /// Adds a sample. `labels` are the values, one for each name of the family.
    pub fn add(&mut self, family: &'static Family, labels: &[&str], value: f64) {
        debug_assert_ne!(family.kind, Kind::Histogram, "{}", family.name);
        self.push(family, labels, Value::Number(value));
    }

    /// Adds a histogram.
    pub fn add_histogram(&mut self, family: &'static Family, labels: &[&str], view: HistogramView) {
        debug_assert_eq!(family.kind, Kind::Histogram, "{}", family.name);
        self.push(family, labels, Value::Histogram(Box::new(view)));
    }

    fn push(&mut self, family: &'static Family, labels: &[&str], value: Value) {
        debug_assert_eq!(family.labels.len(), labels.len(), "{}", family.name);
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let samples = self.samples.entry(family.name).or_default();
        samples.push(Sample { labels, value });
    }

    /// The text. A family without samples is left out.
    pub fn encode(self, format: Format) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry)?;
        match format {
            Format::OpenMetrics => Ok(text),
            Format::Text => Ok(as_text(&text)),
        }
    }
}

/// Prometheus' own form says a counter's name whole, and does not say where it ends.
fn as_text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let lines = open_metrics.lines().filter(|line| *line != "# EOF");
    for line in lines {
        let name = line
            .strip_prefix("# HELP ")
            .or_else(|| line.strip_prefix("# TYPE "))
            .and_then(|line| line.split(' ').next());
        let is_counter = |name: &&str| {
            let mut counters = ALL.iter().filter(|family| family.kind == Kind::Counter);
            counters.any(|family| family.name.strip_suffix("_total") == Some(*name))
        };
        match name.filter(is_counter) {
            Some(name) => text += &line.replacen(name, &format!("{name}_total"), 1),
            None => text += line,
        }
        text.push('\n');
    }
    text
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for family in ALL {
            let Some(samples) = self.samples.get(family.name) else {
                continue;
            };
            let (name, kind) = match family.kind {
                Kind::Gauge => (family.name, MetricType::Gauge),
                // The encoder adds it again.
                Kind::Counter => (family.name.trim_end_matches("_total"), MetricType::Counter),
                Kind::Histogram => (family.name, MetricType::Histogram),
            };
            let mut metric = encoder.encode_descriptor(name, family.help, None, kind)?;
            for sample in samples {
                let values = sample.labels.iter().map(String::as_str);
                let labels: Vec<(&str, &str)> = family.labels.iter().copied().zip(values).collect();
                match labels.is_empty() {
                    true => write(&mut metric, family.kind, &sample.value)?,
                    false => write(
                        &mut metric.encode_family(&labels)?,
                        family.kind,
                        &sample.value,
                    )?,
                }
            }
        }
        Ok(())
    }
}

fn write(metric: &mut MetricEncoder<'_>, kind: Kind, value: &Value) -> Result<(), fmt::Error> {
    match value {
        Value::Number(value) if kind == Kind::Counter => {
            metric.encode_counter::<NoLabelSet, _, f64>(value, None)
        }
        Value::Number(value) => metric.encode_gauge(value),
        Value::Histogram(view) => {
            let bounds = BOUNDS_US.iter().map(|us| *us as f64 / 1e6);
            // The encoder adds them up, and writes the last one as +Inf.
            let buckets = bounds.chain([f64::INFINITY]).zip(view.counts);
            let buckets: Vec<(f64, u64)> = buckets.collect();
            let sum = view.sum_us as f64 / 1e6;
            metric.encode_histogram::<NoLabelSet>(sum, view.count(), &buckets, None)
        }
    }
}
