//! The content of a simulated directory: a tree of nodes, each with what is durable and what is not yet.
//!
//! `content` of a file = `durable` + `pending`, in order. The names in `entries` of all directories = those in
//! `durable_entries` + `pending_names`, in order. A node never goes away: an open handle outlives its name.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use super::OperationKind;
use crate::clock::Clock;
use crate::dir::{DirEntry, split_path};

pub(super) type NodeId = usize;
pub(super) const ROOT: NodeId = 0;
/// Operations kept for the message of a failed test.
const TRACE_LENGTH: usize = 4096;
const ENOSPC: i32 = 28;

#[derive(Clone, Debug)]
pub(super) enum WriteOperation {
    Write { position: u64, bytes: Vec<u8> },
    Truncate { len: u64 },
}

#[derive(Clone, Debug, Default)]
pub(super) struct FileNode {
    pub content: Vec<u8>,
    pub durable: Vec<u8>,
    pub pending: Vec<WriteOperation>,
    pub modified_ms: i64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct DirNode {
    pub entries: BTreeMap<String, NodeId>,
    pub durable_entries: BTreeMap<String, NodeId>,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    File(FileNode),
    Dir(DirNode),
}

/// A change of names that its directory's sync will make durable.
#[derive(Clone, Debug)]
pub(super) enum NameOperation {
    Add {
        dir: NodeId,
        name: String,
        node: NodeId,
    },
    Remove {
        dir: NodeId,
        name: String,
    },
    /// One step in the file system's journal. Durable with either directory.
    Rename {
        from: (NodeId, String),
        to: (NodeId, String),
        node: NodeId,
    },
}

impl NameOperation {
    fn concerns(&self, synced: NodeId) -> bool {
        match self {
            NameOperation::Add { dir, .. } | NameOperation::Remove { dir, .. } => *dir == synced,
            NameOperation::Rename { from, to, .. } => from.0 == synced || to.0 == synced,
        }
    }
}

pub(super) struct State {
    pub nodes: Vec<Node>,
    pub pending_names: Vec<NameOperation>,
    pub clock: Clock,
    pub operation_count: u64,
    pub crash_at: Option<u64>,
    pub crashed: bool,
    pub failures: Vec<(OperationKind, i32)>,
    pub free_bytes: u64,
    pub is_locked: bool,
    pub trace: VecDeque<String>,
}

impl State {
    pub fn new(clock: Clock) -> State {
        State {
            nodes: vec![Node::Dir(DirNode::default())],
            pending_names: Vec::new(),
            clock,
            operation_count: 0,
            crash_at: None,
            crashed: false,
            failures: Vec::new(),
            free_bytes: 1 << 40,
            is_locked: false,
            trace: VecDeque::new(),
        }
    }

    pub fn create(&mut self, path: &str) -> io::Result<NodeId> {
        self.begin(OperationKind::Create, || format!("create {path}"))?;
        let (dir, name) = self.parent(path)?;
        if let Some(&node) = self.dir(dir)?.entries.get(name) {
            self.apply_write(node, WriteOperation::Truncate { len: 0 })?;
            return Ok(node);
        }
        let modified_ms = self.clock.now_ms();
        let node = self.add_node(Node::File(FileNode {
            modified_ms,
            ..FileNode::default()
        }));
        self.apply_name(NameOperation::Add {
            dir,
            name: name.into(),
            node,
        })?;
        Ok(node)
    }

    pub fn open(&mut self, path: &str) -> io::Result<NodeId> {
        self.begin_read()?;
        let node = self.lookup(path)?;
        self.file(node)?;
        Ok(node)
    }

    pub fn create_dir(&mut self, path: &str) -> io::Result<()> {
        self.begin(OperationKind::CreateDir, || format!("create_dir {path}"))?;
        let (dir, name) = self.parent(path)?;
        if self.dir(dir)?.entries.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = self.add_node(Node::Dir(DirNode::default()));
        self.apply_name(NameOperation::Add {
            dir,
            name: name.into(),
            node,
        })
    }

    pub fn remove_dir(&mut self, path: &str) -> io::Result<()> {
        self.begin(OperationKind::RemoveDir, || format!("remove_dir {path}"))?;
        let node = self.lookup(path)?;
        if !self.dir(node)?.entries.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let (dir, name) = self.parent(path)?;
        self.apply_name(NameOperation::Remove {
            dir,
            name: name.into(),
        })
    }

    pub fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.begin(OperationKind::Rename, || format!("rename {from} to {to}"))?;
        let node = self.lookup(from)?;
        let (from_dir, from_name) = self.parent(from)?;
        let (to_dir, to_name) = self.parent(to)?;
        if let Some(&target) = self.dir(to_dir)?.entries.get(to_name)
            && (self.dir(target).is_ok() || self.dir(node).is_ok())
        {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let from = (from_dir, from_name.to_owned());
        self.apply_name(NameOperation::Rename {
            from,
            to: (to_dir, to_name.to_owned()),
            node,
        })
    }

    pub fn remove(&mut self, path: &str) -> io::Result<()> {
        self.begin(OperationKind::Remove, || format!("remove {path}"))?;
        let node = self.lookup(path)?;
        let freed = self.file(node)?.content.len() as u64;
        let (dir, name) = self.parent(path)?;
        self.free_bytes = self.free_bytes.saturating_add(freed);
        self.apply_name(NameOperation::Remove {
            dir,
            name: name.into(),
        })
    }

    pub fn list(&mut self, path: &str) -> io::Result<Vec<DirEntry>> {
        self.begin_read()?;
        let node = self.lookup(path)?;
        let entry = |(name, &node): (&String, &NodeId)| match self.nodes.get(node) {
            Some(Node::File(file)) => DirEntry {
                name: name.clone(),
                is_dir: false,
                size_bytes: file.content.len() as u64,
            },
            _ => DirEntry {
                name: name.clone(),
                is_dir: true,
                size_bytes: 0,
            },
        };
        Ok(self.dir(node)?.entries.iter().map(entry).collect())
    }

    pub fn sync_dir(&mut self, path: &str) -> io::Result<()> {
        self.begin(OperationKind::SyncDir, || format!("sync_dir {path}"))?;
        let node = self.lookup(path)?;
        self.dir(node)?;
        let (synced, pending): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending_names)
            .into_iter()
            .partition(|operation| operation.concerns(node));
        self.pending_names = pending;
        synced
            .iter()
            .for_each(|operation| apply_durable(&mut self.nodes, operation));
        Ok(())
    }

    pub fn sync_file_system(&mut self) -> io::Result<()> {
        self.begin(OperationKind::SyncFileSystem, || "sync_file_system".into())?;
        for operation in std::mem::take(&mut self.pending_names) {
            apply_durable(&mut self.nodes, &operation);
        }
        for node in &mut self.nodes {
            if let Node::File(file) = node {
                file.make_durable();
            }
        }
        Ok(())
    }

    pub fn change_file(
        &mut self,
        node: NodeId,
        path: &str,
        operation: WriteOperation,
    ) -> io::Result<()> {
        let (kind, detail) = match &operation {
            WriteOperation::Write { position, bytes } => (
                OperationKind::Write,
                format!("write {path} {position}+{}", bytes.len()),
            ),
            WriteOperation::Truncate { len } => {
                (OperationKind::Truncate, format!("truncate {path} {len}"))
            }
        };
        if let Err(error) = self.begin(kind, || detail) {
            if let WriteOperation::Write {
                position,
                mut bytes,
            } = operation
                && !self.crashed
            {
                bytes.truncate(bytes.len() / 2);
                self.apply_write(node, WriteOperation::Write { position, bytes })?;
            }
            return Err(error);
        }
        self.apply_write(node, operation)
    }

    pub fn sync_data(&mut self, node: NodeId, path: &str) -> io::Result<()> {
        let begun = self.begin(OperationKind::SyncData, || format!("sync_data {path}"));
        let crashed = self.crashed;
        let file = self.file_mut(node)?;
        match begun {
            Ok(()) => file.make_durable(),
            // The kernel has marked the pages clean: a second sync would say yes and write nothing.
            Err(_) if !crashed => file.pending.clear(),
            Err(_) => {}
        }
        begun
    }

    pub fn read(&mut self, node: NodeId, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.begin_read()?;
        let content = &self.file(node)?.content;
        let start = usize::try_from(position)
            .unwrap_or(usize::MAX)
            .min(content.len());
        let available = content.get(start..).unwrap_or_default();
        let count = available.len().min(buf.len());
        buf[..count].copy_from_slice(&available[..count]);
        Ok(count)
    }

    pub fn len(&mut self, node: NodeId) -> io::Result<u64> {
        self.begin_read()?;
        Ok(self.file(node)?.content.len() as u64)
    }

    pub fn modified_ms(&self, node: NodeId) -> io::Result<i64> {
        Ok(self.file(node)?.modified_ms)
    }

    pub fn set_modified_ms(&mut self, node: NodeId, ms: i64) -> io::Result<()> {
        self.file_mut(node)?.modified_ms = ms;
        Ok(())
    }

    pub fn flip_bit(&mut self, path: &str, bit: u64) -> io::Result<()> {
        let node = self.lookup(path)?;
        let file = self.file_mut(node)?;
        let byte = usize::try_from(bit / 8).unwrap_or(usize::MAX);
        let mask = 1u8 << (bit % 8);
        let flipped = file.content.get_mut(byte).map(|byte| *byte ^= mask);
        if let Some(byte) = file.durable.get_mut(byte) {
            *byte ^= mask;
        }
        flipped.ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        self.collect_files(ROOT, "", &mut files);
        files
    }

    fn collect_files(&self, node: NodeId, path: &str, files: &mut Vec<(String, Vec<u8>)>) {
        match &self.nodes[node] {
            Node::File(file) => files.push((path.to_owned(), file.content.clone())),
            Node::Dir(dir) => {
                for (name, &child) in &dir.entries {
                    let path = if path.is_empty() {
                        name.clone()
                    } else {
                        format!("{path}/{name}")
                    };
                    self.collect_files(child, &path, files);
                }
            }
        }
    }

    /// Counts an operation, notes it, and fails it when a test asked for that.
    fn begin(&mut self, kind: OperationKind, detail: impl FnOnce() -> String) -> io::Result<()> {
        if self.crashed || self.crash_at == Some(self.operation_count) {
            self.crashed = true;
            return Err(crashed());
        }
        self.operation_count += 1;
        if self.trace.len() == TRACE_LENGTH {
            self.trace.pop_front();
        }
        self.trace.push_back(detail());
        self.fail_if_asked(kind)
    }

    fn begin_read(&mut self) -> io::Result<()> {
        if self.crashed {
            Err(crashed())
        } else {
            self.fail_if_asked(OperationKind::Read)
        }
    }

    fn fail_if_asked(&mut self, kind: OperationKind) -> io::Result<()> {
        match self
            .failures
            .iter()
            .position(|(failing, _)| *failing == kind)
        {
            Some(index) => Err(io::Error::from_raw_os_error(self.failures.remove(index).1)),
            None => Ok(()),
        }
    }

    fn add_node(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn apply_name(&mut self, operation: NameOperation) -> io::Result<()> {
        apply_entries(&mut self.nodes, &operation, |dir| &mut dir.entries);
        self.pending_names.push(operation);
        Ok(())
    }

    fn apply_write(&mut self, node: NodeId, operation: WriteOperation) -> io::Result<()> {
        let now_ms = self.clock.now_ms();
        let free_bytes = self.free_bytes;
        let file = self.file_mut(node)?;
        let before = file.content.len() as u64;
        let after = match &operation {
            WriteOperation::Write { position, bytes } => before.max(position + bytes.len() as u64),
            WriteOperation::Truncate { len } => *len,
        };
        if after.saturating_sub(before) > free_bytes {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        operation.apply(&mut file.content);
        file.pending.push(operation);
        file.modified_ms = now_ms;
        self.free_bytes = (free_bytes + before).saturating_sub(after);
        Ok(())
    }

    fn parent<'a>(&self, path: &'a str) -> io::Result<(NodeId, &'a str)> {
        let (parent, name) = split_path(path);
        if name.is_empty() || name == "." || name == ".." {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok((self.lookup(parent)?, name))
    }

    fn lookup(&self, path: &str) -> io::Result<NodeId> {
        let mut node = ROOT;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            node = *self
                .dir(node)?
                .entries
                .get(part)
                .ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(node)
    }

    fn dir(&self, node: NodeId) -> io::Result<&DirNode> {
        match self.nodes.get(node) {
            Some(Node::Dir(dir)) => Ok(dir),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn file(&self, node: NodeId) -> io::Result<&FileNode> {
        match self.nodes.get(node) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn file_mut(&mut self, node: NodeId) -> io::Result<&mut FileNode> {
        match self.nodes.get_mut(node) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }
}

impl FileNode {
    pub fn make_durable(&mut self) {
        for operation in self.pending.drain(..) {
            operation.apply(&mut self.durable);
        }
    }
}

impl WriteOperation {
    pub fn apply(&self, content: &mut Vec<u8>) {
        match self {
            WriteOperation::Write { position, bytes } => {
                let start = usize::try_from(*position).expect("a simulated file fits into memory");
                let end = start + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[start..end].copy_from_slice(bytes);
            }
            WriteOperation::Truncate { len } => {
                content.resize(
                    usize::try_from(*len).expect("a simulated file fits into memory"),
                    0,
                );
            }
        }
    }
}

/// Applies a change of names to the durable names.
pub(super) fn apply_durable(nodes: &mut [Node], operation: &NameOperation) {
    apply_entries(nodes, operation, |dir| &mut dir.durable_entries);
}

fn apply_entries(
    nodes: &mut [Node],
    operation: &NameOperation,
    entries: impl Fn(&mut DirNode) -> &mut BTreeMap<String, NodeId>,
) {
    let mut change = |dir: NodeId, name: &str, node: Option<NodeId>| {
        let Some(Node::Dir(dir)) = nodes.get_mut(dir) else {
            return;
        };
        match node {
            Some(node) => entries(dir).insert(name.to_owned(), node),
            None => entries(dir).remove(name),
        };
    };
    match operation {
        NameOperation::Add { dir, name, node } => change(*dir, name, Some(*node)),
        NameOperation::Remove { dir, name } => change(*dir, name, None),
        NameOperation::Rename { from, to, node } => {
            change(from.0, &from.1, None);
            change(to.0, &to.1, Some(*node));
        }
    }
}

fn crashed() -> io::Error {
    io::Error::other("simulated crash")
}
