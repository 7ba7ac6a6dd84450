//! The states of a group; the picture is that of a classic group.
//!
//! ```text
//!            join                    all joined               leader's sync
//!  Empty ----------> PreparingRebalance ---> CompletingRebalance ---> Stable
//!    ^                  |    ^  ^                  |                    |
//!    +-- nobody left ---+    |  +-- join, leave ---+                    |
//!                            +----------- join, leave, expiry ----------+
//! ```
//! A consumer group is Empty, Assigning, Reconciling or Stable, as its epochs say.
//!
//! `Dead` is what an unknown group is described as; a group that exists is never in it.

use std::fmt;

/// Where a group is; the picture is in the file header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupState {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
    /// A consumer group whose target assignment is not computed yet.
    Assigning,
    /// A consumer group with members that do not have their target yet.
    Reconciling,
    Dead,
}

impl GroupState {
    /// The name that ListGroups and DescribeGroups show.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Dead => "Dead",
        }
    }
}

impl fmt::Display for GroupState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
