//! `GET /`: the page, in the binary, without a request to anybody else. Its sources are in `web/`, built into `dist/`.
//!
//! Files are kept compressed and sent so to who takes it. Each has a tag made of its bytes, so a browser that has it is
//! told so. The policy lets the page load and ask this server alone, and nobody frame it. Without JavaScript there is a
//! table of topics, written here: the only place where a name becomes markup, and so the only one that escapes it.

use std::fmt::Write;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::read::GzDecoder;
use lastword_broker::Broker;
use lastword_broker::partition::CountBudget;
use lastword_record::crc32c;

use super::topics;
use crate::endpoint::Endpoint;
use crate::extract::blocking;
use crate::shared::{Phase, Shared};

const HTML: &str = include_str!("../../dist/index.html");
/// Where the table goes.
const MARK: &str = "<!--topics-->";
/// Rows of it.
const MOST_ROWS: usize = 200;
/// What counting their records may take.
const COUNT_TIME: Duration = Duration::from_millis(100);
/// The icon is a `data:` URL, and so are some marks of the style.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// A file of the page.
struct Asset {
    path: &'static str,
    summary: &'static str,
    media_type: &'static str,
    gzip: &'static [u8],
}

const ASSETS: [Asset; 3] = [
    Asset {
        path: "/app.css",
        summary: "Its style.",
        media_type: "text/css",
        gzip: include_bytes!("../../dist/app.css.gz"),
    },
    Asset {
        path: "/app.js",
        summary: "Its script.",
        media_type: "text/javascript",
        gzip: include_bytes!("../../dist/app.js.gz"),
    },
    Asset {
        path: "/licenses",
        summary: "The licences of what others wrote of it.",
        media_type: "text/plain",
        gzip: include_bytes!("../../dist/licenses.txt.gz"),
    },
];

pub(super) fn endpoints() -> Vec<Endpoint> {
    let page = Endpoint {
        answers: "text/html",
        ..Endpoint::get(
            "/",
            "The page: topics, partitions, records, groups and the cleaner.",
            get(html),
        )
    };
    let files = ASSETS.iter().map(|asset| Endpoint {
        answers: asset.media_type,
        ..Endpoint::get(
            asset.path,
            asset.summary,
            get(move |headers: HeaderMap| async move { file(asset, &headers) }),
        )
    });
    std::iter::once(page).chain(files).collect()
}

fn file(asset: &Asset, headers: &HeaderMap) -> Response {
    let tag = format!("\"{:08x}{:x}\"", crc32c(asset.gzip), asset.gzip.len());
    let has = |name, wanted: &str| {
        let values = headers.get_all(name).iter();
        let mut values = values.filter_map(|value| value.to_str().ok());
        values.any(|value| value.split(',').any(|it| it.trim().starts_with(wanted)))
    };
    let head = [
        (header::ETAG, tag.clone()),
        (header::VARY, "accept-encoding".to_owned()),
    ];
    if has(header::IF_NONE_MATCH, &tag) {
        return (StatusCode::NOT_MODIFIED, head, common("")).into_response();
    }
    if has(header::ACCEPT_ENCODING, "gzip") {
        let encoding = [(header::CONTENT_ENCODING, "gzip")];
        return (head, encoding, common(asset.media_type), asset.gzip).into_response();
    }
    let mut plain = Vec::new();
    // Of our own making; a test reads all of them.
    let read = GzDecoder::new(asset.gzip).read_to_end(&mut plain);
    match read {
        Ok(_) => (head, common(asset.media_type), plain).into_response(),
        Err(_) => crate::HttpError::internal().into_response(),
    }
}

fn common(media_type: &str) -> [(HeaderName, HeaderValue); 5] {
    let media_type = format!("{media_type}; charset=utf-8");
    let value = HeaderValue::from_static;
    [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_str(&media_type).unwrap_or(value("text/plain")),
        ),
        (header::CONTENT_SECURITY_POLICY, value(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, value("nosniff")),
        (header::REFERRER_POLICY, value("no-referrer")),
        // Another version of the broker may serve another page.
        (header::CACHE_CONTROL, value("no-cache")),
    ]
}

async fn html(State(shared): State<Arc<Shared>>) -> Response {
    let table = match shared.phase() {
        Phase::Running(broker) => blocking(move || table(&broker)).await.unwrap_or_default(),
        Phase::Recovering => "<p>The broker is still loading its directory.</p>".to_owned(),
        Phase::Stopping => "<p>The broker is stopping.</p>".to_owned(),
    };
    let body = HTML.replacen(MARK, &table, 1);
    (common("text/html"), body).into_response()
}

/// The topics, for who has no JavaScript.
fn table(broker: &Broker) -> String {
    let image = broker.metadata.image();
    let mut all = image.topics_from("");
    let budget = CountBudget::new(COUNT_TIME);
    let mut rows = String::new();
    for topic in all.by_ref().take(MOST_ROWS) {
        let row = topics::row(broker, topic, budget);
        let _ = write!(rows, "<tr><th scope=row>{}</th>", escaped(&row.name));
        for cell in [
            row.policy,
            row.partitions,
            row.records,
            row.bytes,
            row.reasons,
        ] {
            let _ = write!(rows, "<td>{}</td>", escaped(&cell));
        }
        rows.push_str("</tr>");
    }
    let more = all.next().map_or(
        "",
        |_| "<p>There are more: <a href=/v1/topics>/v1/topics</a> has them all.</p>",
    );
    format!(
        "<table><thead><tr><th scope=col>Topic<th scope=col>Policy<th scope=col>Partitions<th scope=col>Records\
         <th scope=col>Bytes<th scope=col>Partitions by state</tr></thead><tbody>{rows}</tbody></table>{more}"
    )
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            char => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_can_be_read_and_all_together_are_small() {
        let mut sum = HTML.len();
        for asset in &ASSETS {
            let answer = file(asset, &HeaderMap::new());
            assert_eq!(answer.status(), StatusCode::OK, "{}", asset.path);
            sum += asset.gzip.len();
        }
        assert!(sum <= 60 << 10, "{sum} bytes");
        assert!(HTML.contains(MARK));
    }

    #[test]
    fn nothing_of_a_name_becomes_markup() {
        assert_eq!(
            escaped("<script>'&\"</script>"),
            "&lt;script&gt;&#39;&amp;&quot;&lt;/script&gt;"
        );
    }
}
