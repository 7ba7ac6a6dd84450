//! All transactional ids of one partition of `__transaction_state`.

pub(crate) mod config;
pub(crate) mod filter;
pub(crate) mod message;
pub(crate) mod record;
pub(crate) mod state;
