//! `HttpError`: a status and `{"code", "message"}`. The code is Kafka's name of the error where there is one.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lastword_broker::error_map::ApiError;
use lastword_storage::StorageError;
use serde::Serialize;

/// Why a request is refused.
#[derive(Clone, Debug)]
pub struct HttpError {
    /// The status of the answer.
    pub status: StatusCode,
    /// One word for programs, in upper case.
    pub code: String,
    /// What is wrong, and what to do, for people.
    pub message: String,
}

/// The body of an error.
#[derive(Serialize)]
struct Body<'a> {
    code: &'a str,
    message: &'a str,
}

impl HttpError {
    /// An error of these parts.
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>) -> HttpError {
        HttpError {
            status,
            code: code.to_owned(),
            message: message.into(),
        }
    }

    /// 400: a parameter or a body that cannot be used.
    pub fn invalid(message: impl Into<String>) -> HttpError {
        HttpError::new(StatusCode::BAD_REQUEST, "INVALID_REQUEST", message)
    }

    /// 404: something that was named is not there.
    pub fn not_found(code: &str, message: impl Into<String>) -> HttpError {
        HttpError::new(StatusCode::NOT_FOUND, code, message)
    }

    /// 404: there is no such topic.
    pub fn unknown_topic(topic: &str) -> HttpError {
        let message = format!("there is no topic {topic}; GET /v1/topics lists them");
        HttpError::not_found("UNKNOWN_TOPIC_OR_PARTITION", message)
    }

    /// 500: our own mistake; the log says more.
    pub fn internal() -> HttpError {
        let message = "the request failed inside the broker; its log says why";
        HttpError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "UNKNOWN_SERVER_ERROR",
            message,
        )
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let body = Body {
            code: &self.code,
            message: &self.message,
        };
        let mut response = (self.status, Json(body)).into_response();
        // What the client still sends is not read.
        if self.status == StatusCode::PAYLOAD_TOO_LARGE
            || self.status == StatusCode::REQUEST_TIMEOUT
        {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response
    }
}

/// Errors that the Kafka APIs answer with keep their names.
impl From<ApiError> for HttpError {
    fn from(error: ApiError) -> HttpError {
        let code = error.code.name();
        let status = match code {
            _ if code.starts_with("UNKNOWN_TOPIC") || code.ends_with("_NOT_FOUND") => {
                StatusCode::NOT_FOUND
            }
            _ if code.starts_with("INVALID_") => StatusCode::BAD_REQUEST,
            "COORDINATOR_LOAD_IN_PROGRESS" | "COORDINATOR_NOT_AVAILABLE" | "NOT_COORDINATOR" => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            "REQUEST_TIMED_OUT" => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let message = match error.message.is_empty() {
            true => error.code.message().to_owned(),
            false => error.message,
        };
        HttpError::new(status, code, message)
    }
}

impl From<StorageError> for HttpError {
    fn from(error: StorageError) -> HttpError {
        HttpError::from(ApiError::from(error))
    }
}
