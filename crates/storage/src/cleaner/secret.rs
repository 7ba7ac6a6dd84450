//! The secret under which keys are hashed: sixteen random bytes per log directory, readable by the owner only.
//!
//! It keeps anybody from making two keys with one hash, which would let one key's record remove another's. It is made on
//! first use, never logged, and worth nothing outside of the directory: when it is lost another is made.

use crate::checkpoint::write_atomically;
use crate::dir::{self, Dir};
use crate::error::StorageError;
use crate::file_name;

use crate::key_index::KeyHasher;

const SECRET_BYTES: usize = 16;

/// A hasher under the secret that the directory has; nothing is made.
pub fn existing_key_hasher(dir: &dyn Dir) -> Option<KeyHasher> {
    let bytes = dir::read_file(dir, file_name::KEY_SECRET).ok()?;
    let secret = <[u8; SECRET_BYTES]>::try_from(bytes).ok()?;
    Some(KeyHasher::new(&secret))
}

/// A hasher under the directory's secret.
pub fn key_hasher(dir: &dyn Dir) -> Result<KeyHasher, StorageError> {
    if let Some(hasher) = existing_key_hasher(dir) {
        return Ok(hasher);
    }
    let mut secret = [0; SECRET_BYTES];
    getrandom::fill(&mut secret).map_err(|error| {
        StorageError::io(
            "make",
            file_name::KEY_SECRET,
            std::io::Error::other(error.to_string()),
        )
    })?;
    write_atomically(dir, file_name::KEY_SECRET, &secret)?;
    Ok(KeyHasher::new(&secret))
}
