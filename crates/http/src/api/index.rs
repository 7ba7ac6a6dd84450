//! `GET /v1`: an OpenAPI 3.1 document of every endpoint, made from the list that the router is made from.

use axum::Json;
use axum::routing::get;
use serde_json::{Map, Value, json};

use crate::endpoint::{Endpoint, JSON};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::get(
        "/v1",
        "This document: every endpoint, in OpenAPI form.",
        get(|| async { Json(document(&super::endpoints())) }),
    )]
}

/// The OpenAPI document of these endpoints.
pub fn document(endpoints: &[Endpoint]) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in endpoints {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.method.to_lowercase()] = operation(endpoint);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Lastword",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Times are milliseconds since 1970, sizes are bytes. Parts of a path are percent-encoded.",
        },
        "paths": paths,
        "components": { "schemas": { "Error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": { "type": "string", "description": "One word; Kafka's name of the error where there is one." },
                "message": { "type": "string", "description": "What is wrong, and what to do." },
            },
        }}},
    })
}

fn operation(endpoint: &Endpoint) -> Value {
    let in_path = path_names(endpoint.path).map(|name| {
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
    });
    let in_query = endpoint.query.iter().map(|(name, description)| {
        json!({ "name": name, "in": "query", "description": description, "schema": { "type": "string" } })
    });
    let good = json!({ "description": "Done.", "content": { (endpoint.answers): {} } });
    let error = json!({
        "description": "Refused, or failed.",
        "content": { (JSON): { "schema": { "$ref": "#/components/schemas/Error" } } },
    });
    json!({
        "summary": endpoint.summary,
        "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
        "responses": { "200": good, "default": error },
    })
}

/// The names in braces.
fn path_names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}
