//! The `fanfare` binary.

use std::process::ExitCode;

/// Many small things live for a moment on one thread and end on another; the system's allocator
/// took an eighth of the time under load.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // One TLS provider for everything, before anything can ask for one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    fanfare::cli::main()
}
