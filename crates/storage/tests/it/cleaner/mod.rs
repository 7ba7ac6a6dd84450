//! The cleaner's behaviour, case by case. The numbers are those of the project's list of differential cases, which are
//! judged the same way against Kafka.

mod bad_input;
mod crash;
mod deadlines;
mod dedup;
mod faults;
mod hooked_dir;
mod interruptions;
mod key_index;
mod legacy;
mod lookup;
mod on_disk;
mod panics;
mod planted_damage;
mod producers;
mod random;
mod reasons;
mod rebatch;
mod record_count;
mod scene;
mod scheduling;
mod state_view;
mod steering;
mod tombstones;
mod transactions;
