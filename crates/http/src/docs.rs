//! The tables of `docs/http.md` and `docs/metrics.md`, from the lists that the code runs by; a test compares them.

use crate::endpoint::Endpoint;
use crate::metrics::family::{ALL, Kind};

/// One row for each endpoint.
pub fn endpoint_table(endpoints: &[Endpoint]) -> String {
    let mut table = String::from("| endpoint | query | what it answers |\n|---|---|---|\n");
    for endpoint in endpoints {
        let query = endpoint.query.iter();
        let query: Vec<String> = query
            .map(|(name, description)| format!("`{name}`: {description}"))
            .collect();
        table += &format!(
            "| `{} {}` | {} | {} |\n",
            endpoint.method,
            endpoint.path,
            query.join("; "),
            endpoint.summary
        );
    }
    table
}

/// One row for each metric.
pub fn metric_table() -> String {
    let mut table = String::from("| metric | type | labels | what it is |\n|---|---|---|---|\n");
    for family in ALL {
        let kind = match family.kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
        };
        let labels = family.labels.join(", ");
        table += &format!(
            "| `{}` | {kind} | {labels} | {} |\n",
            family.name, family.help
        );
    }
    table
}
