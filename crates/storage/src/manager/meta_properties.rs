//! `meta.properties`: whose directory this is.
//!
//! ```text
//! version=1
//! cluster.id=6Xq0kCjGTY6cNa2eSv3rFw
//! node.id=0
//! directory.id=k1SlWkQbTxuG3c9dZ8v0mA
//! ```
//! Java properties as far as Kafka writes them. Version 0 (`broker.id`) is read. An existing file is
//! kept as it is: a directory of Kafka's stays one.

use std::collections::BTreeMap;
use std::io;

use lastword_record::TopicId;

use crate::checkpoint::write_atomically;
use crate::dir::{self, Dir};
use crate::error::StorageError;
use crate::file_name::META_PROPERTIES;

/// The identity of a log directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    pub cluster_id: String,
    pub node_id: i32,
    /// Empty in files of version 0.
    pub directory_id: String,
}

/// What the caller says the directory should be.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// None: what the directory says, or a new random id.
    pub cluster_id: Option<String>,
    pub node_id: i32,
}

/// Reads the file, or writes a new one.
pub(super) fn load_or_create(
    dir: &dyn Dir,
    identity: &Identity,
) -> Result<MetaProperties, StorageError> {
    match dir::read_file(dir, META_PROPERTIES) {
        Ok(bytes) => {
            let found = parse(&String::from_utf8_lossy(&bytes))?;
            check(&found, identity)?;
            Ok(found)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(dir, identity),
        Err(error) => Err(StorageError::io("read", META_PROPERTIES, error)),
    }
}

fn create(dir: &dyn Dir, identity: &Identity) -> Result<MetaProperties, StorageError> {
    let cluster_id = match &identity.cluster_id {
        Some(cluster_id) => cluster_id.clone(),
        None => random_id()?.to_string(),
    };
    let created = MetaProperties {
        cluster_id,
        node_id: identity.node_id,
        directory_id: random_id()?.to_string(),
    };
    let MetaProperties {
        cluster_id,
        node_id,
        directory_id,
    } = &created;
    let text = format!(
        "version=1\ncluster.id={cluster_id}\nnode.id={node_id}\ndirectory.id={directory_id}\n"
    );
    write_atomically(dir, META_PROPERTIES, text.as_bytes())?;
    Ok(created)
}

fn random_id() -> Result<TopicId, StorageError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        StorageError::io("read", "random bytes", io::Error::other(error.to_string()))
    })?;
    Ok(TopicId::from_random_bytes(bytes))
}

fn parse(text: &str) -> Result<MetaProperties, StorageError> {
    let properties: BTreeMap<&str, &str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#') && !line.starts_with('!'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect();
    let get = |name: &str| properties.get(name).copied();
    let version = get("version").unwrap_or("0");
    let node_id = match version {
        "0" => get("broker.id").or(get("node.id")),
        "1" => get("node.id"),
        other => return Err(malformed(format!("version {other} is not known"))),
    };
    let node_id = node_id.and_then(|text| text.parse().ok());
    Ok(MetaProperties {
        cluster_id: get("cluster.id").unwrap_or_default().to_string(),
        node_id: node_id.ok_or_else(|| malformed("there is no node.id".to_string()))?,
        directory_id: get("directory.id").unwrap_or_default().to_string(),
    })
}

fn check(found: &MetaProperties, identity: &Identity) -> Result<(), StorageError> {
    if let Some(cluster_id) = &identity.cluster_id
        && !found.cluster_id.is_empty()
        && found.cluster_id != *cluster_id
    {
        let reason = format!(
            "the directory belongs to cluster {}, not to {cluster_id}",
            found.cluster_id
        );
        return Err(malformed(reason));
    }
    if found.node_id != identity.node_id {
        let reason = format!(
            "the directory belongs to node {}, not to node {}",
            found.node_id, identity.node_id
        );
        return Err(malformed(reason));
    }
    Ok(())
}

fn malformed(reason: String) -> StorageError {
    StorageError::CorruptCheckpoint {
        file: META_PROPERTIES.to_string(),
        line: 1,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_file_is_read_in_both_versions() {
        let found =
            parse("#\n#Mon Nov 23\nversion=1\nnode.id=7\ncluster.id=abc\ndirectory.id=xyz\n");
        let found = found.expect("parses");
        assert_eq!((found.node_id, found.cluster_id.as_str()), (7, "abc"));
        assert_eq!(found.directory_id, "xyz");
        assert_eq!(
            parse("version=0\nbroker.id=3\n").expect("parses").node_id,
            3
        );
        assert!(parse("version=2\nnode.id=3\n").is_err());
        assert!(parse("version=1\n").is_err());
    }

    #[test]
    fn a_directory_of_another_cluster_or_node_is_refused() {
        let found = parse("version=1\nnode.id=7\ncluster.id=abc\n").expect("parses");
        let identity = |cluster_id: Option<&str>, node_id| Identity {
            cluster_id: cluster_id.map(str::to_string),
            node_id,
        };
        assert!(check(&found, &identity(None, 7)).is_ok());
        assert!(check(&found, &identity(Some("abc"), 7)).is_ok());
        assert!(check(&found, &identity(Some("abd"), 7)).is_err());
        assert!(check(&found, &identity(None, 0)).is_err());
    }
}
