//! The `fanfare` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    // One TLS provider for everything, before anything can ask for one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    fanfare::cli::main()
}
