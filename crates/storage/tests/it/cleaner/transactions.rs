//! Aborted data goes and kills nothing; a marker outlives its data by a pass and a horizon.
//!
//! Unless a case says otherwise the producer has a later batch in the active segment, and `z1` closes the cleaned one,
//! so that neither the producer's pin nor the rule of the last batch interferes.

use super::scene::Scene;

const EXPIRED_MS: i64 = 90_000_000;

#[test]
fn case_34_aborted_data_goes_and_its_marker_and_index_entry_stay() {
    let mut scene = Scene::new("[a1@0]{p1 txn s0} X@1{p1} z1@2 | A: y1@3{p1 s1}");
    let stats = scene.clean();
    assert_eq!(scene.survivors(), "X@1 [z1@2] [y1@3]");
    assert_eq!(scene.aborted(), [(1, 0, 1)]);
    assert_eq!(stats.dead.aborted, 1);
}

#[test]
fn case_35_an_abort_marker_takes_three_passes_to_go() {
    let mut scene = Scene::new("[a1@0]{p1 txn s0} X@1{p1} z1@2 | A: y1@3{p1 s1}");
    scene.clean_at(0);
    scene.clean_at(0);
    assert_eq!(scene.survivors(), "X@1h1000 [z1@2] [y1@3]");
    assert_eq!(scene.aborted(), []);
    scene.clean_at(999);
    assert_eq!(scene.survivors(), "X@1h1000 [z1@2] [y1@3]");
    let stats = scene.clean_at(1_000);
    assert_eq!(scene.survivors(), "[z1@2] [y1@3]");
    assert_eq!(stats.dead.expired_markers, 1);
}

#[test]
fn case_35_a_silent_producer_keeps_its_data_batch_and_so_the_marker() {
    let mut scene = Scene::new("[a1@0]{p1 txn s0} X@1{p1} z1@2 |");
    for now_ms in [0, 10, 2_000] {
        scene.clean_at(now_ms);
        assert_eq!(scene.survivors(), "0..0[] X@1 [z1@2]");
        assert_eq!(scene.aborted(), [(1, 0, 1)]);
    }
    scene.clean_at(EXPIRED_MS);
    assert_eq!(scene.survivors(), "X@1 [z1@2]");
    scene.clean_at(EXPIRED_MS);
    assert_eq!(scene.aborted(), []);
    scene.clean_at(EXPIRED_MS + 1_000);
    assert_eq!(scene.survivors(), "[z1@2]");
}

#[test]
fn case_36_an_aborted_value_does_not_kill_the_one_before() {
    let mut scene = Scene::new("a0@0 [a1@1]{p1 txn s0} X@2{p1} z1@3 | A: y1@4{p1 s1}");
    scene.clean();
    assert_eq!(scene.survivors(), "[a0@0] X@2 [z1@3] [y1@4]");
}

#[test]
fn case_37_a_commit_marker_stays_while_its_data_was_seen_in_this_pass() {
    let mut scene = Scene::new("[a1@0]{p1 txn s0} C@1{p1} a2@2 z1@3 | A: y1@4{p1 s1}");
    scene.clean_at(0);
    assert_eq!(scene.survivors(), "C@1 [a2@2] [z1@3] [y1@4]");
    scene.clean_at(0);
    assert_eq!(scene.survivors(), "C@1h1000 [a2@2] [z1@3] [y1@4]");
    scene.clean_at(1_000);
    assert_eq!(scene.survivors(), "[a2@2] [z1@3] [y1@4]");
}

#[test]
fn case_38_a_marker_stays_when_its_data_lies_in_another_group() {
    for marker in ["X", "C"] {
        let text = format!(
            "[a1@0]{{p1 txn s0}} b1@1 | c1@2 | {marker}@3{{p1}} a2@4 z1@5 | A: y1@6{{p1 s1}}"
        );
        let mut scene = Scene::new(&text);
        scene.configure(|config| config.segment_bytes = 100);
        scene.clean();
        let expected = format!("[b1@1] [c1@2] {marker}@3 [a2@4] [z1@5] [y1@6]");
        assert_eq!(scene.survivors(), expected);
        assert_eq!(scene.aborted().len(), usize::from(marker == "X"));
        scene.clean_at(0);
        assert!(scene.survivors().contains(&format!("{marker}@3h1000")));
    }
}

#[test]
fn case_39_an_open_transaction_stops_cleaning_at_its_first_record() {
    let mut scene = Scene::new("[a1@0]{p1 txn s0} b1@1 b2@2 | A:");
    scene.clean();
    assert_eq!(scene.survivors(), "[a1@0] [b1@1] [b2@2]");
    let mut scene = Scene::new("b1@0 b2@1 | [a1@2]{p1 txn s0} b3@3 | b4@4 | A:");
    scene.clean();
    assert_eq!(scene.survivors(), "[b2@1] [a1@2] [b3@3] [b4@4]");
}

#[test]
fn case_40_user_keys_that_look_like_markers_keep_to_themselves() {
    let (abort, commit) = ("\0\0\0\0", "\0\0\0\u{1}");
    let text = format!(
        "{abort}=1@0 {commit}=1@1 [q1@2]{{p1 txn s0}} C@3{{p1}} {abort}=2@4 {commit}=2@5 z1@6 | A: y1@7{{p1 s1}}"
    );
    let mut scene = Scene::new(&text);
    scene.clean();
    let expected = format!("[q1@2] C@3 [{abort}=2@4] [{commit}=2@5] [z1@6] [y1@7]");
    assert_eq!(scene.survivors(), expected);
}

#[test]
fn case_41_markers_do_not_kill_each_other() {
    let mut scene = Scene::new(
        "[a1@0]{p1 txn s0} [b1@1]{p2 txn s0} C@2{p1} C@3{p2} z1@4 | A: y1@5{p1 s1} y2@6{p2 s1}",
    );
    scene.clean();
    scene.clean();
    assert_eq!(
        scene.survivors(),
        "[a1@0] [b1@1] C@2 C@3 [z1@4] [y1@5] [y2@6]"
    );
}

#[test]
fn case_42_little_memory_loses_no_aborted_transaction() {
    let mut scene = Scene::with_memory_for(
        "[a1@0]{p1 txn s0} b1@1 c1@2 d1@3 e1@4 f1@5 | g1@6 X@7{p1} h1@8 z1@9 | A: y1@10{p1 s1}",
        3,
    );
    let stats = scene.clean();
    assert!(stats.index_passes > 1);
    assert_eq!(scene.aborted(), [(1, 0, 7)]);
    assert_eq!(
        scene.survivors(),
        "[b1@1] [c1@2] [d1@3] [e1@4] [f1@5] [g1@6] X@7 [h1@8] [z1@9] [y1@10]"
    );
}

#[test]
fn case_43_plain_batches_of_a_transactional_producer_follow_the_ordinary_rules() {
    let mut scene = Scene::new(
        "[a1@0]{p1 txn s0} X@1{p1} [b1@2]{p1 s1} [b2@3]{p1 s2} [c1@4]{p1 txn s3} C@5{p1} z1@6 | A: y1@7{p1 s4}",
    );
    scene.clean();
    assert_eq!(scene.survivors(), "X@1 [b2@3] [c1@4] C@5 [z1@6] [y1@7]");
}

#[test]
fn case_44_an_empty_control_batch_stays_while_its_producer_is_pinned() {
    let mut scene = Scene::new("X@0{p1} z1@1 |");
    scene.clean_at(0);
    assert_eq!(scene.survivors(), "X@0h1000 [z1@1]");
    scene.clean_at(1_000);
    assert_eq!(scene.survivors(), "control@0 [z1@1]");
    scene.clean_at(5_000);
    assert_eq!(scene.survivors(), "control@0 [z1@1]");
    scene.clean_at(EXPIRED_MS);
    assert_eq!(scene.survivors(), "[z1@1]");
}

#[test]
fn case_45_every_view_stays_the_same_through_every_pass() {
    // `Scene` compares the committed view before and after each cleaning; here it changes a lot below it.
    let mut scene = Scene::new(
        "a0@0 b0@1 [a1@2 b1@3]{p1 txn s0} [a2@4]{p2 txn s0} X@5{p1} C@6{p2} | [b2@7]{p1 txn s2} [aT@8]{p2 txn s1} \
         C@9{p1} X@10{p2} | [c1@11]{p1 txn s3} X@12{p1} z1@13 | A: y1@14{p1 s4} y2@15{p2 s2}",
    );
    let expected = scene.committed_map();
    for now_ms in [0, 0, 500, 1_000, 2_000, 3_000] {
        scene.clean_at(now_ms);
        assert_eq!(scene.committed_map(), expected);
    }
    assert_eq!(
        scene.survivors(),
        "[a2@4] C@6 [b2@7] C@9 [z1@13] [y1@14] [y2@15]"
    );
    assert_eq!(scene.aborted(), []);
}

#[test]
fn case_46_a_marker_without_data_is_stamped_at_once() {
    let mut scene = Scene::new("X@0{p1} z1@1 | A: y1@2{p1 s0}");
    scene.clean_at(0);
    assert_eq!(scene.survivors(), "X@0h1000 [z1@1] [y1@2]");
    scene.clean_at(1_000);
    assert_eq!(scene.survivors(), "[z1@1] [y1@2]");
}

#[test]
fn case_67_a_key_deleted_by_a_committed_transaction_does_not_come_back() {
    let fill: Vec<String> = (0..20).map(|i| format!("f{i}=1@{}", i + 3)).collect();
    let text = format!(
        "[x1@0]{{p1 txn s0}} X@1{{p1}} a1@2 {} [aT@23]{{p1 txn s1}} C@24{{p1}} o1@25{{p1 s2}} |",
        fill.join(" ")
    );
    let mut scene = Scene::with_memory_for(&text, 15);
    for pass in 0..4 {
        scene.clean_at(0);
        scene.write(&format!("z{pass}=1@{} |", 26 + pass));
    }
    scene.clean_at(0);
    scene.write("w1@30 |");
    scene.clean_at(5_000);
    let rows: Vec<_> = scene
        .batches()
        .into_iter()
        .flat_map(|batch| batch.rows)
        .collect();
    assert!(
        !rows.iter().any(|row| row.key.as_deref() == Some(b"a")),
        "{}",
        scene.survivors()
    );
}

#[test]
fn data_behind_the_cleaned_range_decides_nothing_and_its_abort_is_known_all_the_same() {
    // The marker lies in the active segment.
    let mut scene = Scene::new("a0@0 | [a1@1]{p1 txn s0} z1@2 | A: X@3{p1} y1@4{p1 s1}");
    scene.clean();
    assert_eq!(scene.survivors(), "[a0@0] [z1@2] X@3 [y1@4]");
    assert_eq!(scene.aborted(), [(1, 1, 3)]);
}

#[test]
fn a_quiet_log_gets_rid_of_its_markers_too() {
    let mut scene = Scene::new("[a1@0]{p1 txn s0} X@1{p1} z1@2 | A: y1@3{p1 s1}");
    assert!(scene.clean_if_due());
    assert_eq!(scene.survivors(), "X@1 [z1@2] [y1@3]");
    assert!(!scene.clean_if_due());
    scene.set_clock(1_000);
    assert!(scene.clean_if_due());
    assert_eq!(scene.survivors(), "X@1h2000 [z1@2] [y1@3]");
    scene.set_clock(2_000);
    assert!(scene.clean_if_due());
    assert_eq!(scene.survivors(), "[z1@2] [y1@3]");
    assert!(!scene.clean_if_due());
}

#[test]
fn a_marker_whose_data_lives_on_is_no_reason_to_come_back() {
    let mut scene = Scene::new("[a1@0 b1@1]{p1 txn s0} C@2{p1} a2@3 z1@4 | A: y1@5{p1 s2}");
    assert!(scene.clean_if_due());
    assert_eq!(scene.survivors(), "0..1[b1@1] C@2 [a2@3] [z1@4] [y1@5]");
    scene.set_clock(1_000_000);
    assert!(!scene.clean_if_due());
}
