use super::*;

fn value(text: &str) -> String {
    parse(text).expect(text).1
}

#[test]
fn units_become_the_numbers_that_kafka_stores() {
    assert_eq!(value("segment.bytes=64MiB"), "67108864");
    assert_eq!(value("segment.bytes=1gb"), "1000000000");
    assert_eq!(value("segment.bytes=1g"), "1073741824");
    assert_eq!(value("delete.retention.ms=24h"), "86400000");
    assert_eq!(value("retention.ms=7d"), "604800000");
    assert_eq!(value("log.retention.hours=7d"), "168");
    assert_eq!(value("log.cleaner.dedupe.buffer.size=128MiB"), "134217728");
    assert_eq!(
        value("log.cleaner.io.max.bytes.per.second=1.7976931348623157E308"),
        "1.7976931348623157E308"
    );
}

#[test]
fn everything_else_stays_as_it_was_typed() {
    assert_eq!(value("cleanup.policy=compact,delete"), "compact,delete");
    assert_eq!(value("min.cleanable.dirty.ratio=0.01"), "0.01");
    assert_eq!(value("retention.ms=-1"), "-1");
    assert_eq!(value("unknown.setting = a=b "), "a=b");
    assert_eq!(value("empty.one="), "");
}

#[test]
fn a_unit_that_does_not_fit_the_name_is_refused() {
    for text in [
        "segment.bytes=7d",
        "retention.ms=64MiB",
        "retention.ms=soon",
        "nothing",
        "=1",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
}
