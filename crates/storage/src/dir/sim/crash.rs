//! What survives a power failure: the fault model, written down before the faults are injected.
//!
//! Synced bytes and synced names always survive. What happens to the rest is the model's choice, and within the model
//! the seed's.

use super::state::{FileNode, Node, State, WriteOperation, apply_durable};

/// Which un-synced operations survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashModel {
    /// The process died, the machine did not: everything survives.
    Killed,
    /// Nothing un-synced survives.
    DurableOnly,
    /// An ordered journal, as ext4's: a prefix of the changes of names survives; of each file's un-synced writes none,
    /// all, or only the length, with zeros for bytes.
    Ordered,
    /// Any subset of the un-synced operations survives.
    Weak,
    /// All changes of names survive, and all writes but the end of the last one of each file: cut anywhere, the rest of
    /// its length missing, or filled with zeros or with ones.
    Torn,
}

impl CrashModel {
    /// All of them, for tests that visit each.
    pub const ALL: [CrashModel; 5] = [
        CrashModel::Killed,
        CrashModel::DurableOnly,
        CrashModel::Ordered,
        CrashModel::Weak,
        CrashModel::Torn,
    ];
}

pub(super) fn crash(state: &State, model: CrashModel, seed: u64) -> State {
    if model == CrashModel::Killed {
        return killed(state);
    }
    let mut random = SplitMix { state: seed };
    let mut nodes = state.nodes.clone();
    let prefix = random.below(state.pending_names.len() as u64 + 1);
    for (index, operation) in (0..).zip(&state.pending_names) {
        let survives = match model {
            CrashModel::Killed | CrashModel::Torn => true,
            CrashModel::DurableOnly => false,
            CrashModel::Ordered => index < prefix,
            CrashModel::Weak => random.below(2) == 0,
        };
        if survives {
            apply_durable(&mut nodes, operation);
        }
    }
    for node in &mut nodes {
        match node {
            Node::File(file) => {
                let survivor = surviving_bytes(file, model, &mut random);
                file.content.clone_from(&survivor);
                file.durable = survivor;
                file.pending.clear();
            }
            Node::Dir(dir) => dir.entries.clone_from(&dir.durable_entries),
        }
    }
    let mut survivor = State::new(state.clock.clone());
    survivor.nodes = nodes;
    survivor.free_bytes = state.free_bytes;
    survivor
}

/// What was not synced is still there, and still not synced: a power cut may follow.
fn killed(state: &State) -> State {
    let mut survivor = State::new(state.clock.clone());
    survivor.nodes.clone_from(&state.nodes);
    survivor.pending_names.clone_from(&state.pending_names);
    survivor.free_bytes = state.free_bytes;
    survivor
}

fn surviving_bytes(file: &FileNode, model: CrashModel, random: &mut SplitMix) -> Vec<u8> {
    let mut bytes = file.durable.clone();
    match model {
        CrashModel::Killed => bytes.clone_from(&file.content),
        CrashModel::DurableOnly => {}
        CrashModel::Ordered => match random.below(3) {
            0 => {}
            1 => file
                .pending
                .iter()
                .for_each(|operation| operation.apply(&mut bytes)),
            _ => file
                .pending
                .iter()
                .for_each(|operation| operation.length_only(&bytes.clone()).apply(&mut bytes)),
        },
        CrashModel::Weak => {
            for operation in &file.pending {
                match random.below(3) {
                    0 => {}
                    1 => operation.apply(&mut bytes),
                    _ => operation.length_only(&bytes.clone()).apply(&mut bytes),
                }
            }
        }
        CrashModel::Torn => {
            if let Some((last, before)) = file.pending.split_last() {
                before
                    .iter()
                    .for_each(|operation| operation.apply(&mut bytes));
                last.torn(random).apply(&mut bytes);
            }
        }
    }
    bytes
}

impl WriteOperation {
    /// The file's length changed, the bytes did not arrive.
    fn length_only(&self, before: &[u8]) -> WriteOperation {
        match self {
            WriteOperation::Write { position, bytes } => {
                let end = position + bytes.len() as u64;
                WriteOperation::Truncate {
                    len: end.max(before.len() as u64),
                }
            }
            truncate @ WriteOperation::Truncate { .. } => truncate.clone(),
        }
    }

    fn torn(&self, random: &mut SplitMix) -> WriteOperation {
        match self {
            WriteOperation::Write { position, bytes } => {
                let keep = usize::try_from(random.below(bytes.len() as u64 + 1)).unwrap_or(0);
                let mut torn = bytes.clone();
                match random.below(3) {
                    0 => torn.truncate(keep),
                    1 => torn[keep..].fill(0),
                    _ => torn[keep..].fill(0xFF),
                }
                WriteOperation::Write {
                    position: *position,
                    bytes: torn,
                }
            }
            truncate @ WriteOperation::Truncate { .. } => truncate.clone(),
        }
    }
}

/// SplitMix64: small, and the same on every machine.
struct SplitMix {
    state: u64,
}

impl SplitMix {
    fn below(&mut self, limit: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}
