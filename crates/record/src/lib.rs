//! Lastword.
