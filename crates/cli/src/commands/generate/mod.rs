//! `lastword generate`: what a broker needs around it, out of the binary: a dashboard, alert rules, a unit, a compose file.
//!
//! They are printed, never installed. A test holds every name of a metric in them against the table of `/metrics`.

mod grafana;
#[cfg(test)]
mod tests;

use crate::error::Result;
use crate::output;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  lastword generate grafana > lastword.json     # import it in Grafana\n  \
    lastword generate alerts > lastword-alerts.yml\n  \
    lastword generate compose > compose.yaml && docker compose up\n  \
    lastword generate systemd | sudo tee /etc/systemd/system/lastword.service"
)]
pub struct Args {
    /// What to print
    #[arg(value_enum)]
    what: What,
}

/// What there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum What {
    /// A Grafana dashboard, with panels of compaction
    #[value(alias = "grafana-dashboard")]
    Grafana,
    /// Alert rules for Prometheus
    Alerts,
    /// A scrape config for Prometheus
    #[value(alias = "prometheus-config")]
    Prometheus,
    /// A hardened systemd unit with readiness
    Systemd,
    /// A docker compose file with listeners for inside and outside
    Compose,
    /// A StatefulSet and a Service for Kubernetes
    #[value(alias = "kubernetes")]
    K8s,
}

pub fn run(args: &Args) -> Result<()> {
    output::text(&text(args.what))
}

/// The whole file.
fn text(what: What) -> String {
    let text = match what {
        What::Grafana => return grafana::dashboard(),
        What::Alerts => include_str!("../../../assets/alerts.yml"),
        What::Prometheus => include_str!("../../../assets/prometheus.yml"),
        What::Systemd => include_str!("../../../assets/lastword.service"),
        What::Compose => include_str!("../../../assets/compose.yaml"),
        What::K8s => include_str!("../../../assets/kubernetes.yaml"),
    };
    text.replace("@VERSION@", env!("CARGO_PKG_VERSION"))
}
