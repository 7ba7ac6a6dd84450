//! AlterUserScramCredentials (key 51), version 0 (KIP-554).
//!
//! Behaviour:
//! - There is no SASL: a valid new credential is UNSUPPORTED_VERSION (35), the code with which Kafka says that a cluster
//!   cannot store one, and a deletion is RESOURCE_NOT_FOUND (91), because there are no users.
//! - What Kafka refuses is refused as it does: UNACCEPTABLE_CREDENTIAL (93), UNSUPPORTED_SASL_MECHANISM (33),
//!   DUPLICATE_RESOURCE (92). One answer for each user.

use std::collections::BTreeMap;
use std::sync::Arc;

use lastword_protocol::messages::alter_user_scram_credentials_request::ScramCredentialUpsertion;
use lastword_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use lastword_protocol::messages::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
};
use lastword_protocol::{ErrorCode, StrBytes, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;

const SCRAM_SHA_256: i8 = 1;
const SCRAM_SHA_512: i8 = 2;
const MIN_ITERATIONS: i32 = 4096;
const MAX_ITERATIONS: i32 = 16_384;

pub(crate) async fn handle(
    _broker: &Arc<Broker>,
    context: &RequestContext,
    request: AlterUserScramCredentialsRequest,
) -> Reply {
    let mut refused: BTreeMap<StrBytes, (ErrorCode, &str)> = BTreeMap::new();
    for deletion in request.deletions {
        let error = check(&deletion.name, deletion.mechanism).err().unwrap_or((
            ErrorCode::ResourceNotFound,
            "There is no SCRAM user of this name: this broker has no SASL.",
        ));
        refused.entry(deletion.name).or_insert(error);
    }
    for upsertion in request.upsertions {
        let error = refuse(&upsertion);
        refused
            .entry(upsertion.name)
            // Only what was acceptable so far is spoilt by coming again.
            .and_modify(|first| {
                if first.0 == ErrorCode::UnsupportedVersion {
                    *first = (
                        ErrorCode::DuplicateResource,
                        "A user can be altered only once in a request.",
                    );
                }
            })
            .or_insert(error);
    }
    let results = refused
        .into_iter()
        .map(|(user, (code, text))| {
            message!(AlterUserScramCredentialsResult {
                user,
                error_code: code.code(),
                error_message: Some(text.into()),
            })
        })
        .collect();
    context.reply(&message!(AlterUserScramCredentialsResponse { results }))
}

fn refuse(upsertion: &ScramCredentialUpsertion) -> (ErrorCode, &'static str) {
    if let Err(error) = check(&upsertion.name, upsertion.mechanism) {
        return error;
    }
    if !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&upsertion.iterations) {
        return (
            ErrorCode::UnacceptableCredential,
            "The iterations must be between 4096 and 16384.",
        );
    }
    (
        ErrorCode::UnsupportedVersion,
        "This broker has no SASL yet, so it keeps no SCRAM users. Clients connect without a user.",
    )
}

fn check(name: &str, mechanism: i8) -> Result<(), (ErrorCode, &'static str)> {
    if name.is_empty() {
        return Err((
            ErrorCode::UnacceptableCredential,
            "The name of the user is empty.",
        ));
    }
    if !matches!(mechanism, SCRAM_SHA_256 | SCRAM_SHA_512) {
        return Err((
            ErrorCode::UnsupportedSaslMechanism,
            "The mechanism is neither SCRAM-SHA-256 (1) nor SCRAM-SHA-512 (2).",
        ));
    }
    Ok(())
}
