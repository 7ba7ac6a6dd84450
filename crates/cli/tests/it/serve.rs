use crate::support::{Broker, lastword, temporary};

#[test]
fn serve_says_where_it_is_and_what_to_do_next() {
    let data = temporary();
    let path = data.path().join("new");
    let broker = Broker::start(&path);
    let [first, kafka, http, ready] = &broker.ready_block[..] else {
        panic!("{:?}", broker.ready_block);
    };
    let start = format!(
        "lastword {}  data {} (new)  cluster ",
        env!("CARGO_PKG_VERSION"),
        path.display()
    );
    assert!(first.starts_with(&start), "{first}");
    assert_eq!(http, "  http    off");
    assert_eq!(
        *kafka,
        format!("  kafka   {0}      advertised as {0}", broker.address)
    );
    assert!(
        ready.starts_with("  ready in 0.") || ready.starts_with("  ready in "),
        "{ready}"
    );
    let next = format!(
        "Try:  lastword topic create prices --compact -b {}",
        broker.address
    );
    assert!(ready.ends_with(&next), "{ready}");
}

#[test]
fn sigterm_stops_cleanly_and_records_are_there_afterwards() {
    let data = temporary();
    let broker = Broker::start(data.path());
    broker
        .run(&["topic", "create", "prices", "--compact", "-p", "2"])
        .ok();
    broker
        .run_with(&["produce", "prices", "-K:", "-p", "1"], "a:1\nb:2\n")
        .ok();
    let (code, said) = broker.terminate();
    assert_eq!(code, Some(0));
    assert!(
        said.iter().any(|line| line.contains("stopped in")),
        "{said:?}"
    );

    let broker = Broker::start(data.path());
    assert!(
        broker.ready_block[0].contains("(2 partitions)"),
        "{:?}",
        broker.ready_block
    );
    assert_eq!(
        broker
            .run(&["consume", "prices", "-e", "-f", "%p %o %k=%v\\n"])
            .ok(),
        "1 0 a=1\n1 1 b=2\n"
    );
}

#[test]
fn a_directory_in_use_is_refused_in_three_lines() {
    let data = temporary();
    let broker = Broker::start(data.path());
    let path = data.path().to_str().expect("path");
    let second = lastword(
        &broker.address,
        &[
            "serve",
            "--data",
            path,
            "--listen",
            "127.0.0.1:0",
            "--http",
            "off",
        ],
        b"",
    );
    let said = second.fails(2);
    let said: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("error:") || line.starts_with("  "))
        .collect();
    let expected = [
        format!("error: cannot use the data in {path}"),
        "  why: another process serves this directory".to_owned(),
        "  try: stop it, or choose another directory with --data DIR".to_owned(),
    ];
    assert_eq!(said, expected);
}

#[test]
fn a_port_in_use_is_refused_and_the_flag_is_named() {
    let (data, other) = (temporary(), temporary());
    let broker = Broker::start(data.path());
    let path = other.path().to_str().expect("path");
    let said = lastword(
        "",
        &[
            "serve",
            "--data",
            path,
            "--listen",
            &broker.address,
            "--http",
            "off",
        ],
        b"",
    )
    .fails(2);
    assert!(
        said.contains(&format!("error: cannot listen on {}", broker.address)),
        "{said}"
    );
    assert!(said.contains("--listen 127.0.0.1:PORT"), "{said}");
}

#[test]
fn a_value_with_a_slip_is_refused_before_anything_is_made() {
    let data = temporary();
    let path = data.path().join("untouched");
    let path_text = path.to_str().expect("path");
    let args = [
        "serve",
        "--data",
        path_text,
        "--listen",
        "127.0.0.1:0",
        "--set",
        "log.cleaner.threads=two",
    ];
    let said = lastword("", &args, b"").fails(2);
    assert!(said.contains("--set: log.cleaner.threads=two"), "{said}");
    assert!(!path.exists());
}

#[test]
fn a_file_of_settings_is_read_and_a_flag_wins_over_it() {
    let data = temporary();
    let file = data.path().join("server.properties");
    std::fs::write(
        &file,
        "listeners=PLAINTEXT://127.0.0.1:1\nnum.partitions=3\nlog.segment.bytes=2MiB\n",
    )
    .expect("file");
    let broker = Broker::start_with(
        &data.path().join("data"),
        &[
            "--config",
            file.to_str().expect("path"),
            "--set",
            "num.partitions=4",
        ],
    );
    assert_eq!(
        broker.run(&["topic", "create", "a"]).ok(),
        "a  created  4 partitions\n"
    );
    let configs = broker.run(&["topic", "describe", "a", "-c"]).ok();
    let line = configs
        .lines()
        .find(|line| line.starts_with("segment.bytes "))
        .expect("segment.bytes");
    assert!(line.contains("2097152"), "{line}");
}
