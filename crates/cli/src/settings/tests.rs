use super::*;

fn read(sources: &Sources, variables: &[(&str, &str)]) -> Settings {
    let variables = variables.iter();
    let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    sources.read_with(variables).unwrap()
}

fn environment(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    // A file that is empty: the directory of the tests may have one of the default names.
    let empty = tempfile::NamedTempFile::new().unwrap();
    let sources = Sources {
        file: Some(empty.path().to_str().unwrap().to_owned()),
        ..Sources::default()
    };
    let settings = read(&sources, variables);
    assert_eq!(settings.bad, []);
    settings.properties().into_iter().collect()
}

#[test]
fn the_names_of_kafkas_image_are_translated_as_it_does() {
    let cases = [
        ("KAFKA_LOG_CLEANER_THREADS", "log.cleaner.threads"),
        ("KAFKA_ADVERTISED_LISTENERS", "advertised.listeners"),
        ("KAFKA_BROKER_ID", "broker.id"),
        ("KAFKA_TEST__NAME", "test_name"),
        ("KAFKA_TEST___NAME", "test-name"),
        ("KAFKA_A_B__C___D", "a.b_c-d"),
        ("KAFKA_A____B", "a____b"),
        ("KAFKA_LASTWORD_FETCH_VIEW", "lastword.fetch.view"),
        ("LASTWORD_NUM_PARTITIONS", "num.partitions"),
        ("LASTWORD_HTTP_LISTEN", "lastword.http.listen"),
        ("LASTWORD_LASTWORD_HTTP_LISTEN", "lastword.http.listen"),
    ];
    for (variable, name) in cases {
        let found = environment(&[(variable, "1")]);
        assert_eq!(found, [(name.to_owned(), "1".to_owned())], "{variable}");
    }
}

#[test]
fn what_scripts_and_this_tool_read_is_no_setting() {
    for variable in [
        "KAFKA_HEAP_OPTS",
        "KAFKA_OPTS",
        "KAFKA_LOG4J_LOGGERS",
        "KAFKA_LOG4J_ROOT_LOGLEVEL",
        "KAFKA_JVM_PERFORMANCE_OPTS",
        "LASTWORD_LOG",
        "LASTWORD_BROKERS",
        "LASTWORD_HTTP",
        "PATH",
        "KAFKA",
        "CLUSTER_ID",
    ] {
        assert_eq!(environment(&[(variable, "1")]), [], "{variable}");
    }
    let settings = read(
        &Sources::default(),
        &[("CLUSTER_ID", "4L6g3nShT-eMCtK--X86sw")],
    );
    assert_eq!(
        settings.cluster_id.as_deref(),
        Some("4L6g3nShT-eMCtK--X86sw")
    );
}

#[test]
fn a_stronger_source_wins_and_takes_the_place_of_what_says_the_same() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text =
        "# a comment\nnum.partitions=1\nlog.retention.hours=1\nlog.roll.ms = 7d\nlog.dirs=/a\n";
    std::fs::write(file.path(), text).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let sources = Sources {
        file: Some(path.clone()),
        set: vec!["num.partitions=3".into(), "log.segment.bytes=64MiB".into()],
        flags: vec![("log.dirs", "/c".into(), "--data")],
    };
    let variables = [
        ("KAFKA_NUM_PARTITIONS", "2"),
        ("KAFKA_LOG_RETENTION_MS", "5000"),
        ("KAFKA_LOG_DIR", "/b"),
        ("KAFKA_LOG_SEGMENT_BYTES", "1"),
    ];
    let settings = read(&sources, &variables);
    let shown: Vec<String> = settings
        .by_name
        .iter()
        .map(|(name, it)| format!("{name}={} {}", it.value, it.origin))
        .collect();
    assert_eq!(
        shown,
        [
            "log.dirs=/c --data".to_owned(),
            "log.retention.ms=5000 environment KAFKA_LOG_RETENTION_MS".to_owned(),
            format!("log.roll.ms=604800000 {path}:4"),
            "log.segment.bytes=67108864 --set".to_owned(),
            "num.partitions=3 --set".to_owned(),
        ]
    );
}

#[test]
fn a_value_may_stand_in_a_file_of_its_own_and_what_cannot_be_read_is_named() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "rack-7\n").unwrap();
    let secret = secret.path().to_str().unwrap();
    let sources = Sources {
        set: vec![format!("broker.rack=@{secret}"), "log.roll.ms=soon".into()],
        ..Sources::default()
    };
    let settings = read(&sources, &[("KAFKA_LOG_DIR", "@/nowhere/at/all")]);
    let rack = &settings.by_name["broker.rack"];
    assert_eq!((rack.value.as_str(), rack.is_secret), ("rack-7", true));
    let bad: Vec<&str> = settings.bad.iter().map(|bad| bad.name.as_str()).collect();
    assert_eq!(bad, ["log.dir", "log.roll.ms"]);
    assert!(
        settings.bad[0].reason.contains("/nowhere/at/all"),
        "{:?}",
        settings.bad
    );
    assert!(settings.check_readable().is_err());
}

#[test]
fn a_file_in_latin_1_is_read_as_java_reads_it_and_one_without_an_end_is_refused() {
    let latin = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(latin.path(), b"# K\xf6ln\nnum.partitions=3\n").unwrap();
    let file = |path: &std::path::Path| Sources {
        file: Some(path.to_str().unwrap().to_owned()),
        ..Sources::default()
    };
    let settings = read(&file(latin.path()), &[]);
    assert_eq!(settings.properties()["num.partitions"], "3");
    let endless = file(std::path::Path::new("/dev/zero"));
    let refused = endless.read_with(std::iter::empty()).unwrap_err();
    assert!(format!("{refused:?}").contains("more than"), "{refused:?}");
}
