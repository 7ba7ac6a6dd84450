//! Incremental fetch sessions (KIP-227).

/// The sessions of this broker.
pub struct FetchSessions {
    slots: usize,
}

impl FetchSessions {
    /// A cache with this many places.
    pub fn new(slots: usize) -> FetchSessions {
        FetchSessions { slots }
    }

    /// How many sessions there may be.
    pub fn slots(&self) -> usize {
        self.slots
    }
}
