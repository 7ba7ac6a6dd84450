//! What stands for a key: 96 bits of its SipHash-2-4-128 under the secret of the log directory.
//!
//! Keyed, so that nobody can make two keys collide on purpose and have one key's record remove another's. 96 bits: among
//! 10^9 different keys of one log, two collide by chance with a probability of 6 * 10^-12.
//!
//! No lock; no I/O.

use siphasher::sip128::SipHasher24;

/// 96 bits that stand for a key, in the low bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyHash(u128);

impl KeyHash {
    pub const BITS: u32 = 96;
    pub const MAX: KeyHash = KeyHash((1 << KeyHash::BITS) - 1);

    /// The 96 low bits of a number.
    pub(crate) fn from_low_bits(bits: u128) -> KeyHash {
        KeyHash(bits & KeyHash::MAX.0)
    }

    pub const fn bits(self) -> u128 {
        self.0
    }
}

/// Hashes keys under the secret of a log directory.
#[derive(Clone)]
pub struct KeyHasher {
    hasher: SipHasher24,
    secret_id: u64,
}

impl KeyHasher {
    /// Hashes under this secret.
    pub fn new(secret: &[u8; 16]) -> KeyHasher {
        let hasher = SipHasher24::new_with_key(secret);
        let secret_id = hasher.hash(b"lastword key index").h1;
        KeyHasher { hasher, secret_id }
    }

    /// What stands for a key.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        KeyHash::from_low_bits(self.hasher.hash(key).as_u128())
    }

    /// Tells secrets apart and gives none away: indexes carry it, so that one of another secret is recognised.
    pub fn secret_id(&self) -> u64 {
        self.secret_id
    }
}

impl std::fmt::Debug for KeyHasher {
    // The state would give the secret away.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("KeyHasher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_key_is_a_key_and_trailing_zeros_count() {
        let hasher = KeyHasher::new(&[1; 16]);
        assert_ne!(hasher.hash(b""), hasher.hash(b"\0"));
        assert_ne!(hasher.hash(b"a"), hasher.hash(b"a\0"));
        assert_ne!(hasher.hash(b"a"), KeyHasher::new(&[2; 16]).hash(b"a"));
        assert!(hasher.hash(b"a") <= KeyHash::MAX);
    }

    #[test]
    fn secrets_are_told_apart() {
        let id = |secret| KeyHasher::new(&[secret; 16]).secret_id();
        assert_eq!(id(1), id(1));
        assert_ne!(id(1), id(2));
    }
}
