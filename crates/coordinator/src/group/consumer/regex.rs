//! Regular expressions over topic names: checked when a member brings one, resolved to topics when
//! topics appear or the last look is old.
//!
//! Kafka matches with RE2/J and this with the `regex` crate: both are linear in the input, and the
//! syntax is the same but for details; quoting with `\Q` and `\E` is translated. A name matches as
//! a whole. All expressions of a group are looked at together, so that they cost one epoch.

use std::collections::BTreeSet;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::draft::{Draft, Refusal, refuse};
use super::record::{Change, ResolvedRegex};
use super::topics::MetadataView;
use crate::error::GroupError;

/// Expressions are not looked at again within this time, as in Kafka.
const REFRESH_MIN_INTERVAL_MS: i64 = 10_000;
/// What one compiled expression may take of memory.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// Compiles an expression, or says what is wrong with it.
pub(super) fn compile(expression: &str) -> Result<Regex, Refusal> {
    let translated = translate_quotes(expression);
    // By itself first, for `a)(b` must not become right by the parentheses around it.
    let compiled = build(&translated).and_then(|_| build(&format!(r"\A(?:{translated})\z")));
    compiled.or_else(|error| {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim();
        refuse(
            GroupError::InvalidRegularExpression,
            format!(
                "SubscribedTopicRegex `{expression}` is not a valid regular expression: {reason}."
            ),
        )
    })
}

fn build(expression: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(expression)
        .size_limit(COMPILED_BYTES_MAX)
        .build()
}

/// `\Q...\E`, which RE2 knows and the `regex` crate does not.
fn translate_quotes(expression: &str) -> String {
    let mut out = String::with_capacity(expression.len());
    let mut rest = expression;
    while let Some(at) = rest.find('\\') {
        let (head, tail) = rest.split_at(at);
        out.push_str(head);
        if let Some(quoted) = tail.strip_prefix(r"\Q") {
            let (text, after) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            out.push_str(&regex::escape(text));
            rest = after;
        } else {
            let escaped = tail.chars().take(2).map(char::len_utf8).sum();
            out.push_str(&tail[..escaped]);
            rest = &tail[escaped..];
        }
    }
    out.push_str(rest);
    out
}

/// After a member brought another expression, or none: forgets what nobody subscribes to any more.
pub(super) fn forget_unused(draft: &mut Draft<'_>) {
    let unused: Vec<String> = draft
        .group
        .regexes
        .keys()
        .filter(|regex| draft.group.regex_subscribers(regex) == 0)
        .cloned()
        .collect();
    for regex in unused {
        draft.write(Change::RegularExpression(regex, None));
    }
}

/// Resolves all expressions of the group if that is due; tells whether their topics changed.
///
/// One that another broker took and that does not compile here stands for nothing.
pub(super) fn refresh(draft: &mut Draft<'_>) -> bool {
    let members = draft.group.members.values();
    let subscribed: BTreeSet<String> = members
        .filter_map(|member| member.regex().map(str::to_owned))
        .collect();
    if !is_due(draft, &subscribed) {
        return false;
    }
    let mut changed = false;
    for expression in subscribed {
        let topics = match compile(&expression) {
            Ok(regex) => matching(&regex, draft.view),
            Err(refusal) => {
                tracing::error!(
                    group = &*draft.group_id,
                    reason = refusal.message,
                    "ignored"
                );
                BTreeSet::new()
            }
        };
        let old = draft.group.regexes.get(&expression);
        changed |= old.map_or(!topics.is_empty(), |old| old.topics != topics);
        let resolved = ResolvedRegex {
            topics,
            version: draft.view.version(),
            timestamp_ms: draft.now_ms,
        };
        draft.write(Change::RegularExpression(
            expression,
            Some(Arc::new(resolved)),
        ));
    }
    changed
}

fn matching(regex: &Regex, view: &MetadataView) -> BTreeSet<String> {
    let names = view.topics().map(|topic| &*topic.name);
    names
        .filter(|name| regex.is_match(name))
        .map(str::to_owned)
        .collect()
}

fn is_due(draft: &Draft<'_>, subscribed: &BTreeSet<String>) -> bool {
    let resolved = &draft.group.regexes;
    if subscribed.iter().any(|regex| !resolved.contains_key(regex)) {
        return true;
    }
    // They are resolved together, so one stands for all.
    let Some(any) = resolved.values().next() else {
        return false;
    };
    let age_ms = draft.now_ms.saturating_sub(any.timestamp_ms);
    age_ms > REFRESH_MIN_INTERVAL_MS
        && (any.version < draft.new_topics_version
            || age_ms > i64::from(draft.config.consumer_regex_refresh_interval_ms))
}
