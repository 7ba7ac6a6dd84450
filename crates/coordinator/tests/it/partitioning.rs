//! Which partition of the internal topic a group belongs to.

use lastword_coordinator::partition_for;

#[test]
fn a_group_goes_to_the_partition_of_its_java_hash() {
    // Hashes by Java's String.hashCode.
    let cases: [(&str, i32); 6] = [
        ("", 0),
        ("a", 97),
        ("hello", 99_162_322),
        ("polygenelubricants", i32::MIN),
        ("\u{fc}", 252),
        ("\u{1f980}", 1_772_802),
    ];
    for (group_id, hash) in cases {
        assert_eq!(
            partition_for(group_id, 50),
            (hash & i32::MAX) % 50,
            "{group_id}"
        );
        assert_eq!(
            partition_for(group_id, i32::MAX),
            (hash & i32::MAX) % i32::MAX,
            "{group_id}"
        );
    }
}
