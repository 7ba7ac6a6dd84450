//! The one door to the Kafka wire codec.
//!
//! This crate knows bytes and message types, no state, no socket and no clock. It is the only
//! crate that names the codec it is built on: every other crate takes message types from
//! [`messages`] and the primitives from this root.
//!
//! - [`frame`]: the length prefix and its limit.
//! - [`header`]: request and response headers.
//! - [`api_key`]: which APIs exist, with the versions served.
//! - [`error_code`]: Kafka's error codes by name.
//! - [`request`] / [`response`]: the server half. [`client`]: the small client half.
//!
//! Bytes here come from the network. Nothing panics on them, and every decode runs under
//! limits that grow with the frame, not with the counts the frame claims.

pub mod api_key;
pub mod client;
pub mod error_code;
pub mod frame;
pub mod header;
pub mod request;
pub mod response;

#[cfg(test)]
mod tests;

pub use api_key::ApiKey;
pub use bytes::{Bytes, BytesMut};
pub use error_code::ErrorCode;
pub use header::RequestHeader;
pub use kafka_wire_core::{ApiVersion, DecodeError, EncodeError, StrBytes, TaggedFields, Uuid};
pub use response::ResponseFrame;

/// Every message type of the wire protocol, flat: `messages::ProduceRequest`, and the structs a
/// message declares in a module of its name: `messages::produce_request::TopicProduceData`.
pub mod messages {
    pub use kafka_wire::*;
}

/// Builds a wire message from the fields that differ from the protocol's defaults.
///
/// The generated structs are non-exhaustive, so a plain struct expression cannot name them.
///
/// ```
/// use lastword_protocol::{message, messages::ApiVersionsResponse};
/// let response = message!(ApiVersionsResponse { error_code: 35, throttle_time_ms: 0 });
/// assert_eq!(response.error_code, 35);
/// ```
#[macro_export]
macro_rules! message {
    ($type:path { $($field:ident $(: $value:expr)?),* $(,)? }) => {{
        let mut message = <$type>::default();
        $($crate::message!(@set message $field $($value)?);)*
        message
    }};
    (@set $message:ident $field:ident $value:expr) => { $message.$field = $value };
    (@set $message:ident $field:ident) => { $message.$field = $field };
}
