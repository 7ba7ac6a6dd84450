//! Which partition of the internal topics a group or a transactional id belongs to.

use lastword_coordinator::partition_for;

#[test]
fn an_id_goes_to_the_partition_that_kafka_4_3_sends_it_to() {
    // Kafka's `Utils.abs(id.hashCode()) % 50`, printed by its own classes.
    let cases: [(&str, i32); 9] = [
        ("", 0),
        ("a", 47),
        ("orders-app", 5),
        ("connect-cluster", 13),
        // A negative hash: its absolute value counts, not its lower 31 bits.
        ("my-group", 12),
        // The hash i32::MIN has no absolute value.
        ("polygenelubricants", 0),
        ("console-consumer-12345", 6),
        ("Gr\u{fc}\u{df}e", 1),
        ("\u{1f980}", 2),
    ];
    for (id, partition) in cases {
        assert_eq!(partition_for(id, 50), partition, "{id}");
    }
}
