//! What the processes of a measurement cost.

use fanfare_harness::usage;

/// CPU seconds so far, and the most memory ever held.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_s: f64,
    pub(crate) peak_mib: f64,
}

impl Usage {
    /// What process `id` has used so far; nothing if it has ended.
    pub(crate) fn of(id: u32) -> Self {
        Self {
            cpu_s: usage::cpu_s(id).unwrap_or_default(),
            peak_mib: mib(usage::peak_kib(id).unwrap_or_default()),
        }
    }
}

/// The memory that process `id` holds now.
pub(crate) fn resident_mib(id: u32) -> f64 {
    mib(usage::resident_kib(id).unwrap_or_default())
}

/// KiB as MiB.
pub(crate) fn mib(kib: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "sizes of memories, far below 2^52")]
    let kib = kib as f64;
    kib / 1024.0
}
