//! A directory of our own below the system's temporary one, removed with all that is in it when dropped.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Names tried before giving up: somebody else may have one of them.
const TRIES: u32 = 100;

pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A new directory that only this user can open.
    pub fn new(prefix: &str) -> io::Result<Scratch> {
        let place = std::env::temp_dir();
        let pid = std::process::id();
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for number in 0..TRIES {
            let path = place.join(format!("{prefix}-{pid}-{number}"));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Scratch { path }),
                Err(error) => last = error,
            }
            if last.kind() != io::ErrorKind::AlreadyExists {
                break;
            }
        }
        Err(last)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Who cannot be told cannot help either.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_directory_goes_with_all_that_is_in_it() {
        let (one, two) = (
            Scratch::new("scratch").unwrap(),
            Scratch::new("scratch").unwrap(),
        );
        assert_ne!(one.path(), two.path());
        let path = one.path().to_owned();
        std::fs::create_dir(path.join("inside")).unwrap();
        std::fs::write(path.join("inside/file"), b"x").unwrap();
        drop(one);
        assert!(!path.exists());
        assert!(two.path().exists());
    }
}
