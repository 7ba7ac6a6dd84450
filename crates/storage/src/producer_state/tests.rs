//! The rules of producers, each as a sentence.

use lastword_record::{BatchHeader, crc32c};

use super::*;

fn batch(
    producer_id: i64,
    epoch: i16,
    base_sequence: i32,
    base_offset: i64,
    n: i32,
) -> BatchHeader {
    BatchHeader {
        base_offset,
        batch_length: 49,
        leader_epoch: 0,
        crc: 0,
        attributes: 0,
        last_offset_delta: n - 1,
        base_timestamp: 1_000,
        max_timestamp: 1_000 + base_offset,
        producer_id,
        producer_epoch: epoch,
        base_sequence,
        record_count: n,
    }
}

fn transactional(mut header: BatchHeader) -> BatchHeader {
    header.attributes |= 0x10;
    header
}

fn marker_batch(producer_id: i64, epoch: i16, offset: i64) -> BatchHeader {
    let mut header = batch(producer_id, epoch, -1, offset, 1);
    header.attributes |= 0x30;
    header
}

const COMMIT: EndTransactionMarker = EndTransactionMarker {
    is_abort: false,
    coordinator_epoch: 3,
};

#[test]
fn an_unknown_producer_may_start_with_any_sequence() {
    let manager = ProducerStateManager::new(0);
    assert_eq!(manager.check_data(&batch(1, 0, 40, 0, 2), true), Ok(()));
}

#[test]
fn the_next_sequence_is_accepted_and_a_gap_refused() {
    let mut manager = ProducerStateManager::new(0);
    manager.apply(&batch(1, 0, 0, 0, 3), None);
    assert_eq!(manager.check_data(&batch(1, 0, 3, 3, 1), true), Ok(()));
    assert_eq!(
        manager.check_data(&batch(1, 0, 4, 3, 1), true),
        Err(ProducerStateError::OutOfOrderSequence {
            producer_id: 1,
            expected: 3,
            got: 4
        })
    );
    assert_eq!(manager.check_data(&batch(1, 0, 4, 3, 1), false), Ok(()));
}

#[test]
fn sequences_wrap_from_the_largest_to_zero() {
    let mut manager = ProducerStateManager::new(0);
    let wrapping = batch(1, 0, i32::MAX - 1, 0, 4);
    assert_eq!(wrapping.last_sequence(), 1);
    manager.apply(&wrapping, None);
    assert_eq!(manager.check_data(&batch(1, 0, 2, 4, 1), true), Ok(()));
    let again = manager
        .find_duplicate(&batch(1, 0, i32::MAX - 1, 0, 4))
        .expect("a duplicate");
    assert_eq!(again.first_offset(), 0);
    assert_eq!(again.first_sequence(), i32::MAX - 1);
    assert_eq!(next_sequence(i32::MAX), 0);
}

#[test]
fn the_last_five_batches_are_recognised_and_the_sixth_is_not() {
    let mut manager = ProducerStateManager::new(0);
    for i in 0..6 {
        manager.apply(&batch(1, 0, i, i64::from(i) * 10, 1), None);
    }
    assert_eq!(manager.find_duplicate(&batch(1, 0, 0, 0, 1)), None);
    for i in 1..6 {
        let found = manager
            .find_duplicate(&batch(1, 0, i, 0, 1))
            .expect("a duplicate");
        assert_eq!(found.first_offset(), i64::from(i) * 10);
        assert_eq!(found.timestamp, 1_000 + i64::from(i) * 10);
    }
}

#[test]
fn a_new_epoch_starts_at_zero_and_fences_the_old_one() {
    let mut manager = ProducerStateManager::new(0);
    manager.apply(&batch(1, 4, 7, 0, 1), None);
    assert!(manager.check_data(&batch(1, 5, 8, 1, 1), true).is_err());
    assert_eq!(manager.check_data(&batch(1, 5, 0, 1, 1), true), Ok(()));
    manager.apply(&batch(1, 5, 0, 1, 1), None);
    assert_eq!(
        manager.check_data(&batch(1, 4, 8, 2, 1), true),
        Err(ProducerStateError::InvalidProducerEpoch {
            producer_id: 1,
            current: 5,
            got: 4
        })
    );
    assert_eq!(manager.find_duplicate(&batch(1, 4, 7, 0, 1)), None);
}

#[test]
fn an_open_transaction_holds_the_last_stable_offset_until_its_marker_is_durable() {
    let mut manager = ProducerStateManager::new(0);
    manager.apply(&transactional(batch(1, 0, 0, 5, 2)), None);
    manager.apply(&transactional(batch(2, 0, 0, 7, 1)), None);
    assert_eq!(manager.first_unstable_offset(), Some(5));
    let completed = manager
        .apply(&marker_batch(1, 0, 8), Some(COMMIT))
        .expect("completed");
    assert_eq!((completed.first_offset, completed.last_offset), (5, 8));
    assert_eq!(manager.last_stable_offset_after(&completed), 7);
    manager.complete(&completed);
    assert_eq!(manager.first_unstable_offset(), Some(5));
    manager.on_high_watermark(8);
    assert_eq!(manager.first_unstable_offset(), Some(5));
    manager.on_high_watermark(9);
    assert_eq!(manager.first_unstable_offset(), Some(7));
}

#[test]
fn a_marker_of_an_old_coordinator_is_fenced() {
    let mut manager = ProducerStateManager::new(0);
    manager.apply(&transactional(batch(1, 0, 0, 0, 1)), None);
    manager.apply(&marker_batch(1, 0, 1), Some(COMMIT));
    let old = EndTransactionMarker {
        is_abort: true,
        coordinator_epoch: 2,
    };
    assert!(
        manager
            .check_marker(&marker_batch(1, 0, 2), old, false)
            .is_err()
    );
}

#[test]
fn silent_producers_expire_but_not_with_an_open_transaction() {
    let mut manager = ProducerStateManager::new(0);
    manager.apply(&batch(1, 0, 0, 0, 1), None);
    manager.apply(&transactional(batch(2, 0, 0, 1, 1)), None);
    assert_eq!(manager.pins(1_050, 100).len(), 2);
    assert_eq!(manager.expire(1_100, 100), 1);
    assert_eq!(manager.views().len(), 1);
    assert_eq!(manager.views()[0].producer_id, 2);
}

#[test]
fn a_snapshot_has_kafkas_bytes() {
    assert_eq!(snapshot::encode(&[]).len(), 10);
    let mut manager = ProducerStateManager::new(0);
    manager.apply(&batch(9, 2, 5, 100, 3), None);
    let bytes = snapshot::encode(&manager.entries());
    let mut body = Vec::new();
    body.extend_from_slice(&1i32.to_be_bytes());
    body.extend_from_slice(&9i64.to_be_bytes());
    body.extend_from_slice(&2i16.to_be_bytes());
    body.extend_from_slice(&7i32.to_be_bytes());
    body.extend_from_slice(&102i64.to_be_bytes());
    body.extend_from_slice(&2i32.to_be_bytes());
    body.extend_from_slice(&1_100i64.to_be_bytes());
    body.extend_from_slice(&(-1i32).to_be_bytes());
    body.extend_from_slice(&(-1i64).to_be_bytes());
    let mut expected = vec![0, 1];
    expected.extend_from_slice(&crc32c(&body).to_be_bytes());
    expected.extend_from_slice(&body);
    assert_eq!(bytes, expected);
}

#[test]
fn a_snapshot_brings_back_the_same_state() {
    let mut manager = ProducerStateManager::new(0);
    manager.apply(&batch(9, 2, 5, 100, 3), None);
    manager.apply(&transactional(batch(7, 0, 0, 103, 1)), None);
    manager.apply(&marker_batch(8, 1, 104), Some(COMMIT));
    let bytes = snapshot::encode(&manager.entries());
    let entries = snapshot::decode(&bytes).expect("decodes");
    let back = ProducerStateManager::from_entries(entries, 105, 1_200, 86_400_000);
    assert_eq!(back.views(), manager.views());
    assert_eq!(back.first_unstable_offset(), Some(103));
    assert!(back.find_duplicate(&batch(9, 2, 5, 0, 3)).is_some());
}

#[test]
fn a_damaged_snapshot_is_refused_whatever_byte_is_wrong() {
    let mut manager = ProducerStateManager::new(0);
    manager.apply(&batch(9, 2, 5, 100, 3), None);
    let bytes = snapshot::encode(&manager.entries());
    for position in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[position] ^= 0x40;
        assert!(snapshot::decode(&damaged).is_err(), "byte {position}");
        assert!(
            snapshot::decode(&bytes[..position]).is_err(),
            "cut at {position}"
        );
    }
}

fn opening(producer_id: i64, epoch: i16, first_sequence: i32) -> Opening {
    Opening {
        producer_id,
        producer_epoch: epoch,
        first_sequence,
        bumps_epochs: false,
    }
}

#[test]
fn a_guard_holds_until_a_batch_or_a_marker_and_is_never_given_twice() {
    let mut manager = ProducerStateManager::new(0);
    assert!(!manager.is_verified(1, 0, None));
    let guard = manager.begin_verification(opening(1, 0, 0), 0).unwrap();
    assert!(guard.is_some());
    assert_eq!(
        manager.begin_verification(opening(1, 0, 1), 0).unwrap(),
        guard
    );
    assert!(manager.is_verified(1, 0, guard));
    assert!(!manager.is_verified(2, 0, guard), "another producer");

    manager.apply(&marker_batch(1, 0, 0), Some(COMMIT));
    assert!(!manager.is_verified(1, 0, guard), "a marker came between");
    let second = manager.begin_verification(opening(1, 0, 0), 0).unwrap();
    assert_ne!(second, guard);
    assert!(
        !manager.is_verified(1, 0, guard),
        "an answer to an older question"
    );

    manager.apply(&transactional(batch(1, 0, 0, 1, 1)), None);
    // The transaction is open: its batches need no guard, whoever asks.
    assert!(manager.is_verified(1, 0, None));
    assert_eq!(
        manager.begin_verification(opening(1, 0, 1), 0).unwrap(),
        None
    );
    assert!(!manager.is_verified(1, 1, None), "of another epoch");
    manager.apply(&marker_batch(1, 0, 2), Some(COMMIT));
    assert!(!manager.is_verified(1, 0, second));
}

#[test]
fn a_batch_that_overtakes_one_that_waits_for_its_verification_is_refused() {
    let mut manager = ProducerStateManager::new(0);
    manager.begin_verification(opening(1, 0, 5), 0).unwrap();
    manager.begin_verification(opening(1, 0, 3), 0).unwrap();
    let check = |manager: &ProducerStateManager, epoch, sequence| {
        manager.check_data(&transactional(batch(1, epoch, sequence, 0, 2)), true)
    };
    assert_eq!(
        check(&manager, 0, 5),
        Err(ProducerStateError::OutOfOrderSequence {
            producer_id: 1,
            expected: 3,
            got: 5
        })
    );
    assert_eq!(check(&manager, 0, 3), Ok(()));
    manager.begin_verification(opening(1, 1, 4), 0).unwrap();
    assert_eq!(check(&manager, 1, 4), Ok(()), "a new epoch begins again");
}

#[test]
fn the_first_batch_of_an_epoch_of_its_own_has_sequence_0() {
    let mut manager = ProducerStateManager::new(0);
    let bumped = Opening {
        bumps_epochs: true,
        ..opening(1, 0, 2)
    };
    manager.begin_verification(bumped, 0).unwrap();
    let late = transactional(batch(1, 0, 2, 0, 1));
    assert!(manager.check_data(&late, true).is_err());
    let first = transactional(batch(1, 0, 0, 0, 1));
    assert_eq!(manager.check_data(&first, true), Ok(()));
}

#[test]
fn a_late_marker_cannot_end_the_next_transaction_of_a_producer_that_bumps_epochs() {
    let mut manager = ProducerStateManager::new(0);
    manager.apply(&transactional(batch(1, 3, 0, 0, 1)), None);
    let check = |manager: &ProducerStateManager, epoch| {
        manager.check_marker(&marker_batch(1, epoch, 1), COMMIT, true)
    };
    assert!(
        check(&manager, 3).is_err(),
        "the epoch of the open transaction"
    );
    assert_eq!(
        manager.check_marker(&marker_batch(1, 3, 1), COMMIT, false),
        Ok(())
    );
    assert_eq!(check(&manager, 4), Ok(()));
    manager.apply(&marker_batch(1, 4, 1), Some(COMMIT));
    assert_eq!(check(&manager, 4), Ok(()), "written again after a crash");
    assert!(check(&manager, 3).is_err());
    manager.apply(&transactional(batch(2, i16::MAX, 0, 2, 1)), None);
    let last = marker_batch(2, i16::MAX, 3);
    assert_eq!(
        manager.check_marker(&last, COMMIT, true),
        Ok(()),
        "no epoch is left"
    );
}

#[test]
fn a_verification_that_leads_nowhere_expires() {
    let mut manager = ProducerStateManager::new(0);
    let guard = manager.begin_verification(opening(1, 0, 0), 1_000).unwrap();
    manager.expire(1_999, 1_000);
    assert!(manager.is_verified(1, 0, guard));
    manager.expire(2_000, 1_000);
    assert!(!manager.is_verified(1, 0, guard));
}

#[test]
fn a_guard_that_was_refused_is_forgotten_but_not_a_newer_one() {
    let mut manager = ProducerStateManager::new(0);
    let first = manager.begin_verification(opening(1, 0, 0), 0).unwrap();
    manager.abandon_verification(1, first.unwrap());
    assert!(!manager.is_verified(1, 0, first));
    let second = manager.begin_verification(opening(1, 0, 0), 0).unwrap();
    manager.abandon_verification(1, first.unwrap());
    assert!(manager.is_verified(1, 0, second));
}

#[test]
fn a_producer_whose_epoch_is_over_cannot_begin_to_open_a_transaction() {
    let mut manager = ProducerStateManager::new(0);
    manager.apply(&batch(1, 3, 0, 0, 1), None);
    let refused = manager.begin_verification(opening(1, 2, 0), 0);
    let expected = ProducerStateError::InvalidProducerEpoch {
        producer_id: 1,
        current: 3,
        got: 2,
    };
    assert_eq!(refused, Err(expected));
    let newer = manager.begin_verification(opening(1, 4, 0), 0);
    assert!(newer.unwrap().is_some());
}
