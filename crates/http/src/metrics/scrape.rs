//! `Scrape`: the samples of one answer, and how they are written.
//!
//! No lock: a scrape is one request's.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::family::{ALL, Family, Kind};

/// One sample: the values of the labels, in the order of the family's names, and the value.
#[derive(Debug)]
struct Sample {
    labels: Vec<String>,
    value: f64,
}

/// Samples by name.
#[derive(Debug, Default)]
pub(crate) struct Scrape {
    samples: BTreeMap<&'static str, Vec<Sample>>,
}

impl Scrape {
    /// Adds a sample. `labels` are the values, one for each name of the family.
    pub fn add(&mut self, family: &'static Family, labels: &[&str], value: f64) {
        debug_assert_eq!(family.labels.len(), labels.len(), "{}", family.name);
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let samples = self.samples.entry(family.name).or_default();
        samples.push(Sample { labels, value });
    }

    /// The OpenMetrics text. A family without samples is left out.
    pub fn encode(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry)?;
        Ok(text)
    }
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
            };
            let mut metric = encoder.encode_descriptor(name, family.help, None, kind)?;
            for sample in samples {
                let values = sample.labels.iter().map(String::as_str);
                let labels: Vec<(&str, &str)> = family.labels.iter().copied().zip(values).collect();
                match labels.is_empty() {
                    true => write(&mut metric, family.kind, sample.value)?,
                    false => write(
                        &mut metric.encode_family(&labels)?,
                        family.kind,
                        sample.value,
                    )?,
                }
            }
        }
        Ok(())
    }
}

fn write(metric: &mut MetricEncoder<'_>, kind: Kind, value: f64) -> Result<(), fmt::Error> {
    match kind {
        Kind::Gauge => metric.encode_gauge(&value),
        Kind::Counter => metric.encode_counter::<NoLabelSet, _, f64>(&value, None),
    }
}
