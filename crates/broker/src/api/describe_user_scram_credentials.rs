//! DescribeUserScramCredentials (key 50), version 0 (KIP-554).
//!
//! Behaviour: there is no SASL, so there are no users: asked for all, the list is empty; one that is named is
//! RESOURCE_NOT_FOUND (91), or DUPLICATE_RESOURCE (92) when it is named twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use lastword_protocol::messages::describe_user_scram_credentials_response::DescribeUserScramCredentialsResult;
use lastword_protocol::messages::{
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
};
use lastword_protocol::{ErrorCode, StrBytes, message};

use super::{Reply, RequestContext};
use crate::broker::Broker;

pub(crate) async fn handle(
    _broker: &Arc<Broker>,
    context: &RequestContext,
    request: DescribeUserScramCredentialsRequest,
) -> Reply {
    let mut mentions: BTreeMap<StrBytes, usize> = BTreeMap::new();
    for user in request.users.unwrap_or_default() {
        *mentions.entry(user.name).or_default() += 1;
    }
    let describe = |(user, times): (StrBytes, usize)| {
        let (code, text) = match times {
            1 => (
                ErrorCode::ResourceNotFound,
                "There is no SCRAM user of this name: this broker has no SASL.",
            ),
            _ => (
                ErrorCode::DuplicateResource,
                "A user can be described only once in a request.",
            ),
        };
        message!(DescribeUserScramCredentialsResult {
            user,
            error_code: code.code(),
            error_message: Some(text.into()),
        })
    };
    let results = mentions.into_iter().map(describe).collect();
    context.reply(&message!(DescribeUserScramCredentialsResponse { results }))
}
