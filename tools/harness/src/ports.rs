//! Free ports.

use std::hash::{BuildHasher as _, RandomState};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// A port that is free now. It lies below the range that the kernel gives to outgoing connections:
/// a port of that range could be taken while its server restarts.
pub fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that run at once begin at different ports.
    let seed = RandomState::new().hash_one(std::process::id()) % u64::from(COUNT);
    let seed = u16::try_from(seed).expect("less than a u16");
    loop {
        let port = FIRST + seed.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
