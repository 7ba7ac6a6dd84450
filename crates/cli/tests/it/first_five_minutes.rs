//! The first page of the manual, as a test: the same commands, the same text.

use crate::support::{Broker, temporary};

#[test]
fn the_first_five_minutes_read_as_they_are_written() {
    let data = temporary();
    let broker = Broker::start(data.path());
    assert_eq!(
        broker.run(&["topic", "create", "prices", "--compact"]).ok(),
        "prices  created  1 partition  cleanup.policy=compact\n"
    );
    assert_eq!(
        broker
            .run_with(
                &["produce", "prices", "-K:"],
                "AAPL:191\nMSFT:410\nAAPL:192\n"
            )
            .ok(),
        "3 records to prices-0, offsets 0..2\n"
    );
    assert_eq!(
        broker
            .run(&["consume", "prices", "-e", "-f", "%o %k=%v\\n"])
            .ok(),
        "0 AAPL=191\n1 MSFT=410\n2 AAPL=192\n"
    );
    let said = broker.run(&["produce", "prices", "-k", "AAPL", "-Z"]).ok();
    assert!(
        said.starts_with("tombstone for AAPL to prices-0, offset 3; readable at least until 20"),
        "{said}"
    );
    assert!(
        said.ends_with(" UTC (delete.retention.ms 24 h)\n"),
        "{said}"
    );
    let last = broker
        .run(&["consume", "prices", "-o", "3", "-e", "-J"])
        .ok();
    assert!(
        last.ends_with("\"key\":\"AAPL\",\"value\":null,\"tombstone\":true}\n"),
        "{last}"
    );
}
