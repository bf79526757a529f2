//! The kind of disk that a folder is on.

use std::path::Path;

/// Why a folder does not keep what the store promises, if the kind of its disk is a reason.
#[cfg(target_os = "linux")]
pub(super) fn warning(dir: &Path) -> Option<String> {
    use nix::sys::statfs;
    let dir_shown = dir.display();
    match statfs::statfs(dir).ok()?.filesystem_type() {
        statfs::TMPFS_MAGIC => Some(format!(
            "{dir_shown} is in memory (tmpfs): accepted events do not outlive the machine"
        )),
        statfs::NFS_SUPER_MAGIC | statfs::SMB_SUPER_MAGIC => Some(format!(
            "{dir_shown} is on a network file system, whose locks and fsync may not hold: \
             use a local disk, or the Redis store"
        )),
        _ => None,
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn warning(_dir: &Path) -> Option<String> {
    None
}
