//! The real disk, tried on a temporary directory.

use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;

/// A disk with its directories, and what keeps them from being removed.
fn disk() -> (TempDir, Disk) {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::new(directory.path().join("store"));
    disk.create_directories().unwrap();
    (directory, disk)
}

fn write(disk: &Disk, path: &str, bytes: &[u8]) {
    let mut file = disk.create(path).unwrap();
    file.append(bytes).unwrap();
    file.sync().unwrap();
}

#[test]
fn a_store_exists_once_its_directories_are_created() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::new(directory.path().join("above/store"));
    assert!(!disk.exists().unwrap());
    disk.create_directories().unwrap();
    assert!(disk.exists().unwrap());
    for name in ["log", "seg", "quarantine"] {
        assert!(directory.path().join("above/store").join(name).is_dir(), "{name}");
    }
    disk.create_directories().unwrap();
}

#[test]
fn a_file_in_place_of_the_directory_is_no_store() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Disk::new(file.path()).exists().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAStore);
    assert!(error.to_string().ends_with("is a file, not a directory"), "{error}");
    assert!(Disk::new(file.path()).create_directories().is_err());
}

#[test]
fn missing_ancestors_are_created_however_the_path_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::new(format!("{}/a/./b/../store/", directory.path().display()));
    // `b` is needed to resolve the path, so all of it is created.
    disk.create_directories().unwrap();
    assert!(directory.path().join("a/store/seg").is_dir());
}

#[test]
fn appended_bytes_are_read_back_in_order() {
    let (_directory, disk) = disk();
    write(&disk, "log/1.log", b"one ");
    disk.open_append("log/1.log").unwrap().append(b"two").unwrap();
    assert_eq!(disk.read("log/1.log", 7).unwrap(), b"one two");
}

#[test]
fn creating_a_file_that_exists_fails_and_leaves_it_alone() {
    let (_directory, disk) = disk();
    write(&disk, "MANIFEST", b"first");
    let error = disk.create("MANIFEST").unwrap_err();
    assert_eq!(error.io_kind(), Some(io::ErrorKind::AlreadyExists));
    assert!(error.to_string().starts_with(&format!("creating {}/MANIFEST: ", disk.place())), "{error}");
    assert_eq!(disk.read("MANIFEST", 100).unwrap(), b"first");
}

#[test]
fn opening_for_append_does_not_create() {
    let (_directory, disk) = disk();
    assert_eq!(disk.open_append("MANIFEST").unwrap_err().io_kind(), Some(io::ErrorKind::NotFound));
}

#[test]
fn a_file_longer_than_allowed_is_refused() {
    let (_directory, disk) = disk();
    write(&disk, "MANIFEST", b"12345");
    let error = disk.read("MANIFEST", 4).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().ends_with("MANIFEST is longer than 4 bytes"), "{error}");
}

#[test]
fn appending_after_a_cut_goes_on_at_the_new_end() {
    let (_directory, disk) = disk();
    let mut file = disk.create("log/1.log").unwrap();
    file.append(b"abcdef").unwrap();
    file.truncate(2).unwrap();
    file.append(b"X").unwrap();
    assert_eq!(disk.read("log/1.log", 10).unwrap(), b"abX");
}

#[test]
fn a_sync_handle_syncs_and_refuses_to_write() {
    let (_directory, disk) = disk();
    let mut handle = disk.create("log/1.log").unwrap().sync_handle().unwrap();
    handle.sync().unwrap();
    assert_eq!(handle.append(b"x").unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(handle.truncate(0).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn listing_gives_files_sorted_with_their_lengths_and_no_directories() {
    let (_directory, disk) = disk();
    write(&disk, "b", b"22");
    write(&disk, "a", b"");
    let entry = |name: &str, len_bytes| DirectoryEntry { name: name.into(), len_bytes };
    assert_eq!(disk.list(Directory::Root).unwrap(), [entry("a", 0), entry("b", 2)]);
}

#[test]
fn listing_a_missing_directory_is_empty() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(Disk::new(directory.path().join("none")).list(Directory::Log).unwrap(), []);
}

#[test]
fn a_rename_replaces_its_target() {
    let (_directory, disk) = disk();
    write(&disk, "MANIFEST", b"old");
    write(&disk, "MANIFEST.new", b"new");
    disk.rename("MANIFEST.new", "MANIFEST").unwrap();
    disk.sync_directory(Directory::Root).unwrap();
    assert_eq!(disk.read("MANIFEST", 10).unwrap(), b"new");
    assert_eq!(disk.list(Directory::Root).unwrap().len(), 1);
}

#[test]
fn mapped_and_read_bytes_are_the_same_and_outlive_the_file() {
    let (_directory, disk) = disk();
    for (name, bytes) in [("seg/empty", vec![]), ("seg/odd", vec![3; 13]), ("seg/large", vec![9; 200_001])] {
        write(&disk, name, &bytes);
        let both = [disk.map(name).unwrap(), disk.clone().without_mmap().map(name).unwrap()];
        disk.remove(name).unwrap();
        for map in both {
            assert_eq!(map.bytes().unwrap(), bytes, "{name} {map:?}");
            assert!(map.bytes().unwrap().as_ptr().addr().is_multiple_of(8), "{name} {map:?}");
        }
        assert_eq!(disk.map(name).unwrap_err().io_kind(), Some(io::ErrorKind::NotFound));
    }
}

#[test]
fn mapping_a_directory_is_an_error() {
    let (_directory, disk) = disk();
    assert_eq!(disk.map("seg").unwrap_err().io_kind(), Some(io::ErrorKind::IsADirectory));
}

#[test]
fn a_name_that_leads_out_of_the_store_is_refused() {
    let (_directory, disk) = disk();
    for name in ["", "../x", "/etc/passwd", "seg/../../x", "."] {
        assert_eq!(disk.create(name).unwrap_err().kind(), ErrorKind::Invalid, "{name}");
        assert_eq!(disk.read(name, 10).unwrap_err().kind(), ErrorKind::Invalid, "{name}");
    }
}

#[test]
fn new_files_cannot_be_written_by_others() {
    let (directory, disk) = disk();
    write(&disk, "MANIFEST", b"");
    let mode = fs::metadata(directory.path().join("store/MANIFEST")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7133, 0, "{mode:o}");
}

#[test]
fn a_read_only_disk_reads_and_refuses_every_write() {
    let (_directory, disk) = disk();
    write(&disk, "MANIFEST", b"here");
    let reader = Disk::read_only(disk.place());
    assert_eq!(reader.read("MANIFEST", 10).unwrap(), b"here");
    assert_eq!(reader.map("MANIFEST").unwrap().bytes().unwrap(), b"here");
    let refused = [
        reader.create_directories().unwrap_err(),
        reader.create("x").unwrap_err(),
        reader.open_append("MANIFEST").unwrap_err(),
        reader.rename("MANIFEST", "x").unwrap_err(),
        reader.remove("MANIFEST").unwrap_err(),
        reader.sync_directory(Directory::Root).unwrap_err(),
        reader.lock().unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().ends_with(&format!("store {} was opened read-only", disk.place())), "{error}");
    }
    assert_eq!(reader.list(Directory::Root).unwrap().len(), 1);
}

#[test]
fn two_disks_on_one_directory_share_its_lock() {
    let (_directory, disk) = disk();
    let held = disk.lock().unwrap();
    assert_eq!(Disk::new(disk.place()).lock().unwrap_err().kind(), ErrorKind::Locked);
    drop(held);
    Disk::new(disk.place()).lock().unwrap();
}
