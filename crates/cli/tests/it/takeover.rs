//! A directory that is taken over: whole, half copied, and in use.

use std::collections::BTreeMap;
use std::path::Path;

use crate::directory::{Directory, records};
use crate::support::{Broker, Run, lastword, temporary};

/// A directory as a broker leaves it that has stopped in order, without metadata of ours: the whole of it lies in the
/// second segment's predecessor, as in a copy that was made before the first roll.
fn stopped(path: &Path) {
    let directory = Directory::open(path);
    directory.write("orders", 0, &[&records("a=1 b=1"), &records("c=1")]);
    directory.write("prices", 1, &[&records("a=1")]);
    directory.close();
    for kind in ["log", "index", "timeindex"] {
        std::fs::remove_file(path.join(format!("orders-0/00000000000000000003.{kind}"))).ok();
    }
}

fn serve(path: &Path) -> Run {
    let path = path.to_str().expect("path");
    let args = [
        "serve",
        "--data",
        path,
        "--listen",
        "127.0.0.1:0",
        "--http",
        "off",
    ];
    lastword("", &args, b"")
}

/// Every file and its bytes, but the lock's.
fn files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with(".lock") {
                let bytes = std::fs::read(&path).expect("a file");
                files.insert(path.display().to_string(), bytes);
            }
        }
    }
    files
}

fn cut(path: &Path) {
    let bytes = std::fs::read(path).expect("a file");
    std::fs::write(path, &bytes[..bytes.len() - 5]).expect("a shorter file");
}

#[test]
fn a_whole_copy_is_served() {
    let data = temporary();
    stopped(data.path());
    let broker = Broker::start(data.path());
    let consume = ["consume", "orders", "-e", "-f", "%o %k=%v\\n"];
    assert_eq!(broker.run(&consume).ok(), "0 a=1\n1 b=1\n2 c=1\n");
}

#[test]
fn a_half_copied_directory_is_refused_with_what_is_missing_and_nothing_is_changed() {
    type Damage = (&'static str, fn(&Path));
    let damages: [Damage; 5] = [
        (
            "orders-0 ends at offset 2, and recovery-point-offset-checkpoint says that it went up to 3",
            |path| cut(&path.join("orders-0/00000000000000000002.log")),
        ),
        (
            "orders-0 has 00000000000000000000.index and no 00000000000000000000.log",
            |path| {
                let log = path.join("orders-0/00000000000000000000.log");
                std::fs::remove_file(log).expect("removed");
            },
        ),
        (
            "prices-1 is in recovery-point-offset-checkpoint and has no directory",
            |path| std::fs::remove_dir_all(path.join("prices-1")).expect("removed"),
        ),
        ("it has partitions and no meta.properties", |path| {
            std::fs::remove_file(path.join("meta.properties")).expect("removed");
        }),
        // A copy of `dir/*` has no hidden files: no mark of a stop in order.
        (
            "orders-0 ends at offset 0, and recovery-point-offset-checkpoint says that it went up to 3",
            |path| {
                std::fs::remove_file(path.join(".kafka_cleanshutdown")).expect("removed");
                std::fs::remove_dir_all(path.join("orders-0")).expect("removed");
                std::fs::create_dir(path.join("orders-0")).expect("an empty directory");
            },
        ),
    ];
    for (sentence, plant) in damages {
        let data = temporary();
        stopped(data.path());
        plant(data.path());
        let before = files(data.path());
        let said = serve(data.path()).fails(2);
        let path = data.path().display();
        let first = format!("error: {path} is no whole copy of a Kafka log directory");
        assert!(said.contains(&first), "{said}");
        assert!(said.contains(&format!("why: {sentence}\n")), "{said}");
        assert!(
            said.contains("try: copy it again while Kafka is stopped"),
            "{said}"
        );
        assert!(
            files(data.path()) == before,
            "{sentence}: something was changed"
        );
    }
}
