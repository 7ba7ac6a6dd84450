use super::*;

fn config(pairs: &[(&str, &str)]) -> Result<BrokerConfig, ConfigError> {
    let properties = pairs
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    BrokerConfig::from_properties(&properties)
}

#[test]
fn an_empty_configuration_has_kafkas_defaults_on_loopback() {
    let config = config(&[]).unwrap();
    assert_eq!(
        (config.listener.host.as_str(), config.listener.port),
        ("127.0.0.1", 9092)
    );
    assert_eq!(config.num_partitions, 1);
    assert!(config.auto_create_topics);
    assert_eq!(config.max_request_bytes, 104_857_600);
    assert_eq!(config.groups.topic_partitions, 50);
    assert_eq!(config.log_dir, "lastword-data");
}

#[test]
fn a_kafka_server_properties_file_is_accepted_and_what_does_nothing_is_named() {
    let text = "\
# KRaft
process.roles=broker,controller
node.id=7
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL
num.network.threads=3
log.dirs=data/\\
   kraft
num.partitions=4
log.retention.hours=168
log.segment.bytes=1073741824
log.cleaner.min.cleanable.ratio = 0.2
";
    let config = BrokerConfig::from_properties(&parse_properties(text)).unwrap();
    assert_eq!((config.node_id, config.num_partitions), (7, 4));
    assert_eq!(config.log_dir, "data/kraft");
    assert_eq!(config.advertised.host, "localhost");
    assert!(
        config.ignored.iter().any(|name| name == "process.roles"),
        "{:?}",
        config.ignored
    );
    let defaults = config.topic_defaults(&Properties::new()).unwrap();
    assert!((defaults.min_cleanable_dirty_ratio - 0.2).abs() < 1e-9);
}

#[test]
fn a_mistyped_name_is_refused_with_the_nearest_one() {
    let error = config(&[("num.partition", "3")]).unwrap_err();
    assert_eq!(error.name, "num.partition");
    assert!(error.to_string().contains("num.partitions"), "{error}");
    let error = config(&[("log.retention.hour", "1")]).unwrap_err();
    assert!(error.to_string().contains("log.retention.hours"), "{error}");
}

#[test]
fn an_invalid_value_is_refused_by_name() {
    for (name, value) in [
        ("num.partitions", "0"),
        ("num.partitions", "many"),
        ("auto.create.topics.enable", "yes"),
        ("log.cleanup.policy", "compactt"),
        ("listeners", "127.0.0.1:9092"),
        ("listeners", "SASL_SSL://127.0.0.1:9092"),
        ("ssl.keystore.location", "/etc/key"),
        ("log.dirs", "a,b"),
    ] {
        let error = config(&[(name, value)]).unwrap_err();
        assert!(
            error.to_string().contains(name.split('.').next().unwrap()),
            "{name}: {error}"
        );
    }
}

#[test]
fn a_public_listener_must_be_asked_for_by_name() {
    let public = ("listeners", "PLAINTEXT://0.0.0.0:9092");
    assert!(
        config(&[public])
            .unwrap_err()
            .reason
            .contains("lastword.insecure.listen")
    );
    let insecure = ("lastword.insecure.listen", "true");
    assert_eq!(
        config(&[public, insecure]).unwrap_err().name,
        "advertised.listeners"
    );
    let advertised = ("advertised.listeners", "PLAINTEXT://broker.example:9092");
    let config = config(&[public, insecure, advertised]).unwrap();
    assert_eq!(config.advertised.host, "broker.example");
}

#[test]
fn http_listens_on_loopback_unless_it_is_switched_off_or_asked_for_elsewhere() {
    let http = |pairs: &[(&str, &str)]| config(pairs).map(|config| config.http);
    let default = http(&[]).unwrap();
    let listener = default.listener.unwrap();
    assert_eq!((listener.host.as_str(), listener.port), ("127.0.0.1", 9644));
    assert!(!default.is_named && default.is_admin_enabled);
    const LISTEN: &str = "lastword.http.listen";
    for off in ["", "off", " OFF "] {
        assert_eq!(http(&[(LISTEN, off)]).unwrap().listener, None);
    }
    let named = http(&[(LISTEN, "[::1]:0")]).unwrap();
    assert!(named.is_named && named.listener.unwrap().host == "::1");
    for wrong in ["9644", "localhost", "localhost:http", "127.0.0.1:65536"] {
        let error = http(&[(LISTEN, wrong)]).unwrap_err();
        assert_eq!((error.name.as_str(), error.value.as_str()), (LISTEN, wrong));
    }
    let public = (LISTEN, ":9644");
    assert!(
        http(&[public])
            .unwrap_err()
            .reason
            .contains("lastword.insecure.listen")
    );
    let listener = http(&[public, ("lastword.insecure.listen", "true")])
        .unwrap()
        .listener;
    assert_eq!(listener.unwrap().host, "0.0.0.0");
}

#[test]
fn the_table_is_sorted_and_its_defaults_are_valid() {
    assert!(BROKER_CONFIGS.is_sorted_by_key(|entry| entry.name));
    for entry in BROKER_CONFIGS
        .iter()
        .filter(|entry| !entry.default.is_empty())
    {
        config(&[(entry.name, entry.default)]).unwrap();
    }
}
