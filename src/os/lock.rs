//! The writer's lock of a store on a real disk.
//!
//! The operating system's lock on the file `LOCK` decides; the process id written into it only serves
//! the message. The lock goes when the process dies, however it dies, so a stale one cannot exist. The
//! file itself is never removed: a process that still had the old one open would lock what nobody sees.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::disk::FILE_MODE;
use super::storage::LockGuard;
use crate::error::{Error, ErrorKind, Result};

/// The name of the lock file in the store's directory.
const LOCK_FILE: &str = "LOCK";

/// The longest process id that is believed, in digits.
const PID_LEN_MAX: u64 = 10;

/// A held lock; closing the file gives it up.
#[derive(Debug)]
struct Held {
    file: File,
}

impl LockGuard for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        // Only a courtesy to the next reader of the file: the lock goes with the handle in any case.
        let _ = self.file.set_len(0);
    }
}

/// Takes the lock of the store in `root`.
///
/// # Errors
/// Locked if another handle holds it, in this process or another; Io if the lock file cannot be written.
pub(super) fn take(root: &Path) -> Result<Box<dyn LockGuard>> {
    let path = root.join(LOCK_FILE);
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(&path);
    let mut file = opened.map_err(|error| refused(root, error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(held_by_another(root, &mut file)),
        Err(TryLockError::Error(error)) => return Err(refused(root, error)),
    }
    write_pid(&mut file).map_err(|error| refused(root, error))?;
    Ok(Box::new(Held { file }))
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(std::process::id().to_string().as_bytes())
}

/// The error for a lock that someone holds, with the holder's process id if it has written one by now.
fn held_by_another(root: &Path, file: &mut File) -> Error {
    let mut text = String::new();
    let pid = file.take(PID_LEN_MAX).read_to_string(&mut text).ok().and_then(|_| text.parse::<u32>().ok());
    let holder = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
    let message = format!("store {} is being written by {holder}; stop it or open read-only", root.display());
    Error::new(ErrorKind::Locked, message)
}

/// The error for a lock file that cannot be opened, locked or written.
fn refused(root: &Path, error: io::Error) -> Error {
    let read_only = error.kind() == io::ErrorKind::ReadOnlyFilesystem;
    let error = Error::io(format!("locking {}", root.join(LOCK_FILE).display()), error);
    if read_only {
        return error
            .at(format!("store {} is on a read-only file system and can only be opened read-only", root.display()));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_names_the_holder_and_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let _held = take(directory.path()).unwrap();
        let error = take(directory.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        let (store, pid) = (directory.path().display(), std::process::id());
        let expected = format!("store {store} is being written by process {pid}; stop it or open read-only");
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_failed_attempt_does_not_disturb_the_holder() {
        let directory = tempfile::tempdir().unwrap();
        let _held = take(directory.path()).unwrap();
        let first = take(directory.path()).unwrap_err().to_string();
        assert_eq!(take(directory.path()).unwrap_err().to_string(), first);
    }

    #[test]
    fn dropping_the_guard_frees_the_lock_and_keeps_the_file() {
        let directory = tempfile::tempdir().unwrap();
        drop(take(directory.path()).unwrap());
        assert!(directory.path().join(LOCK_FILE).exists());
        take(directory.path()).unwrap();
    }

    #[test]
    fn a_pid_left_by_a_dead_process_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(LOCK_FILE), "9999999999").unwrap();
        let _held = take(directory.path()).unwrap();
        let written = std::fs::read_to_string(directory.path().join(LOCK_FILE)).unwrap();
        assert_eq!(written, std::process::id().to_string());
    }

    #[test]
    fn a_lock_whose_file_holds_no_number_names_another_process() {
        let directory = tempfile::tempdir().unwrap();
        let _held = take(directory.path()).unwrap();
        std::fs::write(directory.path().join(LOCK_FILE), "garbage that is long").unwrap();
        assert!(take(directory.path()).unwrap_err().to_string().contains("is being written by another process;"));
    }

    #[test]
    fn a_read_only_file_system_is_one_clear_error() {
        let error = refused(Path::new("/mnt/cd/store"), io::ErrorKind::ReadOnlyFilesystem.into());
        assert_eq!(error.kind(), ErrorKind::Io);
        let text = error.to_string();
        assert!(
            text.starts_with("store /mnt/cd/store is on a read-only file system and can only be opened read-only: ")
        );
        assert!(!text.contains('\n'), "{text}");
    }
}
