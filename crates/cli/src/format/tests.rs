use super::json::{self, InputRecord};
use super::read::Reader;
use super::*;

fn view() -> RecordView<'static> {
    RecordView {
        topic: "prices",
        partition: 3,
        offset: 42,
        timestamp_ms: 1_622_505_601_500,
        key: Some(b"AAPL"),
        value: Some(b"{\"p\":191}"),
        headers: vec![(b"source", Some(b"nyse")), (b"none", None)],
        leader_epoch: 7,
        producer_id: 1000,
        producer_epoch: 2,
        log_start_offset: 5,
        last_stable_offset: 43,
        high_watermark: 44,
        index: 9,
        ..RecordView::default()
    }
}

fn written(format: &str, record: &RecordView<'_>) -> String {
    let format = RecordFormat::parse(format, false).expect(format);
    let mut out = Vec::new();
    format.write(record, false, &mut out);
    String::from_utf8(out).expect("text")
}

#[test]
fn every_escape_writes_its_part() {
    for (format, text) in [
        ("%t-%p@%o %k=%v\\n", "prices-3@42 AAPL={\"p\":191}\n"),
        ("%T %K %V %S %H", "6 4 9 9 2"),
        ("%s", "{\"p\":191}"),
        ("%e %i %x %y", "7 9 1000 2"),
        ("%[ %| %]", "5 43 44"),
        ("%d", "1622505601500"),
        ("%d{strftime[%F %T]}", "2021-06-01 00:00:01"),
        ("%a{compression} %a{timestamp-type}", "none CreateTime"),
        ("%h{%k=%v{hex};}", "source=6e797365;none=;"),
        ("%h{%K:%V%{%}}", "6:4{}4:0{}"),
        (
            "%k{hex} %k{base64} %k{json} %v{json}",
            "4141504c QUFQTA== \"AAPL\" {\"p\":191}",
        ),
        ("%o{hex16} %o{big16}%p{byte}", "002a \0*\u{3}"),
        ("%%%{%}\\t\\x41\\\\", "%{}\tA\\"),
        ("é%p", "é3"),
    ] {
        assert_eq!(written(format, &view()), text, "{format}");
    }
}

#[test]
fn a_null_is_nothing_or_null_in_json() {
    let tombstone = RecordView {
        value: None,
        ..view()
    };
    assert_eq!(written("%k=%v %V|%v{json}", &tombstone), "AAPL= 0|null");
}

#[test]
fn a_slip_in_a_format_is_refused_with_its_place() {
    for format in [
        "%",
        "%q",
        "%k{",
        "%k{hex8}",
        "%o{hex}",
        "%h",
        "%h{%o}",
        "%d{strftime[%Q]}",
        "%d{strftime%F}",
        "%a",
        "%a{x}",
        "\\",
        "\\q",
        "\\x4",
        "\\xzz",
    ] {
        assert!(RecordFormat::parse(format, false).is_err(), "{format}");
    }
}

#[test]
fn json_says_a_tombstone_twice_and_bytes_in_base64() {
    assert_eq!(
        written("json", &view()),
        "{\"topic\":\"prices\",\"partition\":3,\"offset\":42,\"timestamp\":1622505601500,\"key\":\"AAPL\",\
         \"value\":\"{\\\"p\\\":191}\",\"headers\":[{\"key\":\"source\",\"value\":\"nyse\"},{\"key\":\"none\",\
         \"value\":null}]}\n"
    );
    let odd = RecordView {
        key: Some(&[0xff, 0x00]),
        value: None,
        headers: Vec::new(),
        ..view()
    };
    assert_eq!(
        written("jsonl", &odd),
        "{\"topic\":\"prices\",\"partition\":3,\"offset\":42,\"timestamp\":1622505601500,\"key\":{\"base64\":\"/wA=\"},\
         \"value\":null,\"tombstone\":true}\n"
    );
}

#[test]
fn what_consume_writes_as_json_produce_reads() {
    let odd = RecordView {
        value: None,
        key: Some(&[0xff]),
        ..view()
    };
    let record = json::parse(&written("jsonl", &odd)).expect("json");
    assert_eq!(
        record,
        InputRecord {
            key: Some(vec![0xff]),
            value: None,
            headers: vec![
                (b"source".to_vec(), Some(b"nyse".to_vec())),
                (b"none".to_vec(), None)
            ],
            partition: None,
            timestamp_ms: Some(1_622_505_601_500),
        }
    );
    assert!(json::parse("{\"value\":\"x\",\"tombstone\":true}").is_err());
    assert!(json::parse("{").is_err());
}

fn read_all(format: &str, input: &str) -> Result<Vec<InputRecord>, String> {
    let reader = Reader::new(template::Template::parse(format)?)?;
    let mut input = input.as_bytes();
    let mut records = Vec::new();
    while let Some(record) = reader.next(&mut input)? {
        records.push(record);
    }
    Ok(records)
}

fn pairs(format: &str, input: &str) -> Vec<(String, String)> {
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap_or_default()).expect("text");
    let records = read_all(format, input).expect(format);
    records
        .into_iter()
        .map(|record| (text(record.key), text(record.value)))
        .collect()
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[test]
fn a_format_reads_back_what_it_wrote() {
    let two = vec![pair("a", "1"), pair("b", "2 x")];
    assert_eq!(pairs("%k %v\\n", "a 1\nb 2 x\n"), two);
    // A file need not end with a newline.
    assert_eq!(pairs("%k %v\\n", "a 1\nb 2 x"), two);
    assert_eq!(pairs("%k => %v\\n", "a => 1\nb => 2 x\n"), two);
    assert_eq!(pairs("%K %k%V %v", "1 a1 11 b3 2 x"), two);
    assert_eq!(
        pairs(
            "%K{big16}%k%V{byte}%v\\n",
            "\0\u{1}a\u{1}1\n\0\u{1}b\u{3}2 x\n"
        ),
        two
    );
    assert_eq!(pairs("%k{hex}:%v{base64}\\n", "61:MQ==\n62:MiB4\n"), two);
    assert_eq!(pairs("%K{1}%k%v\\n", "a1\nb2 x\n"), two);
    assert_eq!(pairs("%v\\n", "\nx\n"), vec![pair("", ""), pair("", "x")]);
    assert_eq!(pairs("%v", "a\nb\n"), vec![pair("", "a\nb\n")]);
}

#[test]
fn headers_partition_and_time_are_read() {
    let records = read_all("%p %d %H %h{%k=%v,}%v\\n", "2 1000 2 a=1,b=2,x\n").expect("headers");
    assert_eq!(
        records,
        vec![InputRecord {
            key: None,
            value: Some(b"x".to_vec()),
            headers: vec![
                (b"a".to_vec(), Some(b"1".to_vec())),
                (b"b".to_vec(), Some(b"2".to_vec()))
            ],
            partition: Some(2),
            timestamp_ms: Some(1000),
        }]
    );
}

#[test]
fn what_cannot_be_read_is_refused() {
    for format in [
        "%o %v\\n",
        "%t %v\\n",
        "%k%v\\n",
        "%h{%k=%v,}%v\\n",
        "%K%k",
        "",
        "%d{strftime[%F]} %v\\n",
    ] {
        assert!(read_all(format, "x").is_err(), "{format}");
    }
    for (format, input) in [
        ("%k %v\\n", "alone"),
        ("%K %k %v\\n", "5 abc"),
        ("%K %k %v\\n", "-1 abc d\n"),
        ("%K %k %v\\n", "9999999999999 abc d\n"),
        ("%p %v\\n", "x y\n"),
        ("%k{hex} %v\\n", "6 x\n"),
        (
            "%K{big64}%k",
            "\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}a",
        ),
    ] {
        assert!(read_all(format, input).is_err(), "{format} {input}");
    }
}
