package lastword.compat.differential;

/** Where Lastword differs from Kafka on purpose; docs/differences.md says the same to people. */
enum Rule {
    QUIET_HORIZON("Lastword drops an expired tombstone or marker of a log without new dirt; Kafka waits for dirt"),
    QUIET_PASS("Lastword has cleaned without new dirt, Kafka has not: markers and empty headers are a pass ahead"),
    KAFKA_MAP_FULL("Kafka's offset map was full: it kept a record that a later one replaces"),
    KAFKA_PASSES("Kafka's offset map was full: it passed several times, and markers and headers are further in life"),
    BIT_ROT("Kafka has copied a batch with a bad checksum, or given it a new one; Lastword has left it as it is"),
    REBATCH_EXPIRED("re-batching drops the ids of expired producers: the log alone says something else of them"),
    KAFKA_FAILS("Kafka's cleaner cannot empty a batch of an old format and gives the log up; Lastword has cleaned it"),
    LEGACY("Lastword has converted the old formats when it opened the log, Kafka when it cleaned: other batches");

    final String reason;

    Rule(String reason) {
        this.reason = reason;
    }
}
