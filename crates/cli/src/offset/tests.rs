use super::*;

const NOW: i64 = 1_700_000_000_000;

fn parsed(text: &str) -> (Start, End) {
    let range = parse_all([text], NOW).expect(text);
    (range.start, range.end)
}

#[test]
fn every_spelling_of_start_and_end_is_understood() {
    for text in ["start", "beginning", "earliest"] {
        assert_eq!(parsed(text), (Start::Earliest, End::Never));
    }
    for text in ["end", "latest"] {
        assert_eq!(parsed(text), (Start::Latest, End::Never));
    }
    assert_eq!(parsed(":end"), (Start::Earliest, End::Latest));
    assert_eq!(parsed("start:end"), (Start::Earliest, End::Latest));
}

#[test]
fn offsets_ranges_and_counts() {
    assert_eq!(parsed("42"), (Start::Exact(42), End::Never));
    assert_eq!(parsed("42:"), (Start::Exact(42), End::Never));
    assert_eq!(parsed("42:50"), (Start::Exact(42), End::Exact(50)));
    assert_eq!(parsed("42:end"), (Start::Exact(42), End::Latest));
    assert_eq!(parsed("42:+8"), (Start::Exact(42), End::Count(8)));
    assert_eq!(parsed(":50"), (Start::Earliest, End::Exact(50)));
    assert_eq!(parsed("+10"), (Start::AfterEarliest(10), End::Never));
    assert_eq!(parsed("-10"), (Start::BeforeLatest(10), End::Never));
    assert_eq!(parsed("-10:end"), (Start::BeforeLatest(10), End::Latest));
}

#[test]
fn times_and_ranges_of_times() {
    let (one, two) = (1_622_505_600_000, 1_622_505_660_000);
    assert_eq!(parsed("@1622505600"), (Start::TimestampMs(one), End::Never));
    assert_eq!(
        parsed("@1622505600:1622505660"),
        (Start::TimestampMs(one), End::TimestampMs(two))
    );
    assert_eq!(
        parsed("@2021-06-01T00:00:00Z:2021-06-01T00:01:00Z"),
        (Start::TimestampMs(one), End::TimestampMs(two))
    );
    assert_eq!(
        parsed("@2021-06-01:end"),
        (Start::TimestampMs(one), End::Latest)
    );
    assert_eq!(
        parsed("@-2h:-1h"),
        (
            Start::TimestampMs(NOW - 7_200_000),
            End::TimestampMs(NOW - 3_600_000)
        )
    );
}

#[test]
fn kcats_two_times_add_up() {
    let range = parse_all(["s@1622505600000", "e@1622505660000"], NOW).expect("kcat");
    assert_eq!(range.start, Start::TimestampMs(1_622_505_600_000));
    assert_eq!(range.end, End::TimestampMs(1_622_505_660_000));
}

#[test]
fn nonsense_is_refused_with_a_reason() {
    for text in [
        "",
        "soon",
        "1-2",
        "5:3",
        "--3",
        "+",
        "@",
        "@soon",
        "@-1h:-2h",
        "1:2:3",
        "99999999999999999999",
    ] {
        assert!(parse_all([text], NOW).is_err(), "{text}");
    }
}
