use super::*;

const EIO: i32 = 5;

fn write(dir: &dyn Dir, path: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = dir.create(path).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

/// Everything both implementations promise, tried on one of them.
fn behaves_like_a_directory(dir: &dyn Dir) {
    dir.create_dir("a-0").unwrap();
    assert_eq!(
        dir.create_dir("a-0").unwrap_err().kind(),
        io::ErrorKind::AlreadyExists
    );
    let file = write(dir, "a-0/x", b"hello");
    file.write_all_at(b"!", 7).unwrap();
    assert_eq!(read_file(dir, "a-0/x").unwrap(), b"hello\0\0!");
    let mut buf = [0; 4];
    assert_eq!(file.read_full_at(&mut buf, 5).unwrap(), 3);
    assert_eq!(file.read_at(&mut buf, 100).unwrap(), 0);
    let too_short = file.read_exact_at(&mut buf, 6).unwrap_err();
    assert_eq!(too_short.kind(), io::ErrorKind::UnexpectedEof);

    write(dir, "a-0/y", b"old");
    dir.rename("a-0/x", "a-0/y").unwrap();
    assert_eq!(
        dir.open("a-0/x").err().unwrap().kind(),
        io::ErrorKind::NotFound
    );
    assert!(dir.exists("a-0/y").unwrap() && !dir.exists("a-0/x").unwrap());
    assert!(!dir.exists("b-0/x").unwrap());
    assert_eq!(read_file(dir, "a-0/y").unwrap().len(), 8);
    dir.rename("a-0", "b-0").unwrap();
    let entry = |name: &str, is_dir, size_bytes| DirEntry {
        name: name.into(),
        is_dir,
        size_bytes,
    };
    assert_eq!(dir.list("").unwrap(), [entry("b-0", true, 0)]);
    assert_eq!(dir.list("b-0").unwrap(), [entry("y", false, 8)]);
    assert_eq!(
        dir.remove_dir("b-0").unwrap_err().kind(),
        io::ErrorKind::DirectoryNotEmpty
    );

    // An open file outlives its name.
    dir.remove("b-0/y").unwrap();
    file.truncate(2).unwrap();
    assert_eq!(file.read_full_at(&mut buf, 0).unwrap(), 2);
    assert_eq!(&buf[..2], b"he");
    assert_eq!(
        dir.remove("b-0/y").unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
    dir.remove_dir("b-0").unwrap();
    file.set_modified_ms(1_234_567).unwrap();
    assert_eq!(file.modified_ms().unwrap(), 1_234_567);

    let source: Vec<u8> = (0..=255).collect();
    let (from, to) = (write(dir, "from", &source), write(dir, "to", b"0123456789"));
    let mut buffer = [0; 100];
    from.copy_range_to(3..253, &*to, 4, &mut buffer).unwrap();
    from.copy_range_to(9..9, &*to, 0, &mut buffer).unwrap();
    let copied = read_file(dir, "to").unwrap();
    assert!(copied[..4] == *b"0123" && copied[4..] == source[3..253]);
    for (range, buffer_bytes, kind) in [
        (255..257, 100, io::ErrorKind::UnexpectedEof),
        (0..1, 0, io::ErrorKind::InvalidInput),
    ] {
        let buffer = &mut buffer[..buffer_bytes];
        let error = from.copy_range_to(range, &*to, 0, buffer).unwrap_err();
        assert_eq!(error.kind(), kind);
    }

    file.sync_data().unwrap();
    dir.sync_dir("").unwrap();
    dir.sync_file_system().unwrap();
    assert!(dir.free_bytes().unwrap() > 0);
    assert!(file.len().unwrap() == 2 && !file.is_empty().unwrap());

    let guard = dir.lock().unwrap();
    assert_eq!(dir.lock().err().unwrap().kind(), io::ErrorKind::WouldBlock);
    drop(guard);
    drop(dir.lock().unwrap());
    assert!(dir.create("../x").is_err());
}

#[test]
fn the_file_system_behaves_like_a_directory() {
    let temporary = tempfile::tempdir().unwrap();
    behaves_like_a_directory(&FsDir::open(temporary.path().join("data/log")).unwrap());
}

#[test]
fn the_simulation_behaves_like_a_directory() {
    behaves_like_a_directory(&SimDir::new());
}

#[test]
fn no_path_leads_out_of_the_log_directory() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = FsDir::open(temporary.path()).unwrap();
    for path in ["../x", "a/../../x", "/etc/x", "./x", "a\0b"] {
        assert_eq!(
            dir.create(path).err().unwrap().kind(),
            io::ErrorKind::InvalidInput,
            "{path:?}"
        );
    }
}

#[test]
fn files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let temporary = tempfile::tempdir().unwrap();
    let dir = FsDir::open(temporary.path().join("log")).unwrap();
    dir.create_dir("a-0").unwrap();
    dir.create("a-0/x").unwrap();
    for (path, mode) in [("", 0o700), ("a-0", 0o700), ("a-0/x", 0o600)] {
        let metadata = std::fs::metadata(dir.root().join(path)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{path}");
    }
}

#[test]
fn only_what_was_synced_survives_the_strictest_crash() {
    let dir = SimDir::new();
    let file = write(&dir, "synced", b"one");
    file.sync_data().unwrap();
    dir.sync_dir("").unwrap();
    file.write_all_at(b"two", 3).unwrap();
    // Bytes without a name, and a name without bytes.
    write(&dir, "nameless", b"x").sync_data().unwrap();
    let survivor = dir.crash(CrashModel::DurableOnly, 0);
    assert_eq!(survivor.files(), [("synced".to_owned(), b"one".to_vec())]);

    write(&dir, "empty", b"x");
    dir.sync_dir("").unwrap();
    let survivor = dir.crash(CrashModel::DurableOnly, 0);
    assert_eq!(read_file(&survivor, "empty").unwrap(), b"");
    assert_eq!(read_file(&survivor, "nameless").unwrap(), b"x");
    dir.sync_file_system().unwrap();
    assert_eq!(dir.crash(CrashModel::DurableOnly, 0).files(), dir.files());
}

#[test]
fn an_unsynced_rename_is_undone_whole() {
    let dir = SimDir::new();
    dir.create_dir("a").unwrap();
    write(&dir, "a/new", b"new");
    write(&dir, "a/name", b"old");
    dir.sync_file_system().unwrap();
    dir.rename("a/new", "a/name").unwrap();
    for (model, renamed) in [(CrashModel::DurableOnly, false), (CrashModel::Killed, true)] {
        let survivor = dir.crash(model, 0);
        let expected: &[u8] = if renamed { b"new" } else { b"old" };
        assert_eq!(read_file(&survivor, "a/name").unwrap(), expected);
        assert_eq!(survivor.exists("a/new").unwrap(), !renamed);
    }
    for seed in 0..50 {
        let survivor = dir.crash(CrashModel::Weak, seed);
        let renamed = read_file(&survivor, "a/name").unwrap() == b"new";
        assert_eq!(survivor.exists("a/new").unwrap(), !renamed, "seed {seed}");
    }
    dir.sync_dir("a").unwrap();
    assert_eq!(
        read_file(&dir.crash(CrashModel::DurableOnly, 0), "a/name").unwrap(),
        b"new"
    );
}

#[test]
fn an_ordered_journal_keeps_a_prefix_of_the_names() {
    let dir = SimDir::new();
    for name in ["a", "b", "c"] {
        dir.create(name).unwrap();
    }
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let survivor = dir.crash(CrashModel::Ordered, seed);
        let names: Vec<_> = survivor.files().into_iter().map(|(name, _)| name).collect();
        assert!(
            ["a", "b", "c"]
                .iter()
                .zip(&names)
                .all(|(left, right)| left == right),
            "seed {seed}"
        );
        seen.insert(names.len());
    }
    assert_eq!(seen, [0, 1, 2, 3].into());
}

#[test]
fn a_torn_write_keeps_its_beginning_only() {
    let dir = SimDir::new();
    let file = write(&dir, "x", &[1; 100]);
    dir.sync_file_system().unwrap();
    file.write_all_at(&[2; 100], 100).unwrap();
    let (mut lengths, mut fills) = (
        std::collections::BTreeSet::new(),
        std::collections::BTreeSet::new(),
    );
    for seed in 0..200 {
        let bytes = read_file(&dir.crash(CrashModel::Torn, seed), "x").unwrap();
        assert_eq!(bytes[..100], [1; 100], "seed {seed}");
        let kept = bytes[100..].iter().take_while(|byte| **byte == 2).count();
        fills.extend(bytes[100 + kept..].iter().copied());
        lengths.insert(kept);
    }
    assert!(lengths.len() > 20, "{lengths:?}");
    assert_eq!(fills, [0x00, 0xFF].into());
}

#[test]
fn the_same_seed_gives_the_same_crash() {
    let dir = SimDir::new();
    for name in ["a", "b", "c", "d"] {
        write(&dir, name, name.as_bytes());
    }
    for model in CrashModel::ALL {
        for seed in 0..20 {
            assert_eq!(
                dir.crash(model, seed).files(),
                dir.crash(model, seed).files()
            );
        }
    }
}

#[test]
fn nothing_works_after_the_crash_point() {
    let dir = SimDir::new();
    let file = dir.create("x").unwrap();
    dir.crash_after(1);
    file.write_all_at(b"one", 0).unwrap();
    assert!(!dir.has_crashed());
    assert!(file.sync_data().is_err());
    assert!(dir.has_crashed());
    assert!(
        file.read_at(&mut [0], 0).is_err() && dir.list("").is_err() && dir.create("y").is_err()
    );
    assert_eq!(dir.operation_count(), 2);
    assert_eq!(dir.trace(), ["create x", "write x 0+3"]);
    let survivor = dir.crash(CrashModel::Killed, 0);
    assert_eq!(read_file(&survivor, "x").unwrap(), b"one");
}

#[test]
fn a_failed_sync_loses_the_writes_and_a_second_one_does_not_bring_them_back() {
    let dir = SimDir::new();
    let file = write(&dir, "x", b"one");
    dir.sync_file_system().unwrap();
    file.write_all_at(b"two", 0).unwrap();
    dir.fail_next(OperationKind::SyncData, EIO);
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(EIO));
    file.sync_data().unwrap();
    assert_eq!(
        read_file(&dir, "x").unwrap(),
        b"two",
        "reads still come from the cache"
    );
    assert_eq!(
        read_file(&dir.crash(CrashModel::DurableOnly, 0), "x").unwrap(),
        b"one"
    );
}

#[test]
fn a_failed_write_has_written_its_first_half() {
    let dir = SimDir::new();
    let file = dir.create("x").unwrap();
    dir.fail_next(OperationKind::Write, EIO);
    assert!(file.write_all_at(b"abcd", 0).is_err());
    assert_eq!(read_file(&dir, "x").unwrap(), b"ab");
    dir.fail_next(OperationKind::Read, EIO);
    assert!(read_file(&dir, "x").is_err());
}

#[test]
fn a_full_disk_refuses_growth_and_takes_it_again_after_a_removal() {
    let dir = SimDir::new();
    let file = write(&dir, "x", b"abcd");
    dir.set_free_bytes(2);
    file.write_all_at(b"ABCD", 0).unwrap();
    let full = file.write_all_at(b"123", 4).unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    dir.remove("x").unwrap();
    write(&dir, "y", b"123456");
    assert_eq!(dir.free_bytes().unwrap(), 0);
}

#[test]
fn a_flipped_bit_stays_flipped_over_a_crash() {
    let dir = SimDir::new();
    write(&dir, "x", &[0, 0]).sync_data().unwrap();
    dir.sync_dir("").unwrap();
    dir.flip_bit("x", 9).unwrap();
    assert_eq!(read_file(&dir, "x").unwrap(), [0, 2]);
    assert_eq!(
        read_file(&dir.crash(CrashModel::DurableOnly, 0), "x").unwrap(),
        [0, 2]
    );
    assert!(dir.flip_bit("x", 16).is_err());
}
