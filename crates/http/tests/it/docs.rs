//! The documents say what the code says. `UPDATE_DOCS=1 cargo test -p lastword-http docs` writes the tables anew.

use std::path::Path;

const BEGIN: &str = "<!-- from the code: begin -->\n";
const END: &str = "<!-- from the code: end -->";

fn check(name: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    let text = std::fs::read_to_string(&path).expect(name);
    let (before, rest) = text.split_once(BEGIN).expect("where the table begins");
    let (written, after) = rest.split_once(END).expect("where the table ends");
    if written != table && std::env::var_os("UPDATE_DOCS").is_some() {
        let text = format!("{before}{BEGIN}{table}{END}{after}");
        std::fs::write(&path, text).expect("writes");
        return;
    }
    assert_eq!(written, table, "docs/{name}: UPDATE_DOCS=1 writes it anew");
}

#[test]
fn the_table_of_endpoints_is_the_routers() {
    check(
        "http.md",
        &lastword_http::docs::endpoint_table(&lastword_http::api::endpoints()),
    );
}

#[test]
fn the_table_of_metrics_is_what_is_scraped() {
    check("metrics.md", &lastword_http::docs::metric_table());
}
