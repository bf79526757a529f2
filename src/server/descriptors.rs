//! File descriptors: whether the system allows as many connections as the settings ask for.
//!
//! Half of the descriptors are left to the store and to connections to receivers. If clients could
//! take all of them, no delivery could be sent.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::Options;

/// Fewest connections that are worth a start.
const MIN_CONNECTIONS: usize = 16;

/// What the system allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// The limit of this process.
    pub limit: u64,
    /// The lower `max_connections`, if that of the settings does not fit.
    pub lowered: Option<usize>,
}

/// The system allows too few file descriptors.
#[derive(Debug, thiserror::Error)]
#[error(
    "this process may open only {limit} file descriptors, which leaves no room for clients; allow \
     at least {needed} with `ulimit -n` or LimitNOFILE, or lower http.reserved_connections"
)]
pub struct DescriptorsError {
    limit: u64,
    needed: u64,
}

impl Descriptors {
    /// Raises the limit of this process as far as it may, and lowers `options` to what fits.
    pub fn fit(options: &mut Options) -> Result<Self, DescriptorsError> {
        // A system that does not say has no limit.
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((u64::MAX, u64::MAX));
        let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
        Self::within(if raised { hard } else { soft }, options)
    }

    fn within(limit: u64, options: &mut Options) -> Result<Self, DescriptorsError> {
        let for_clients = usize::try_from(limit / 2).unwrap_or(usize::MAX);
        let reserved = options.reserved_connections;
        let fitting = for_clients.saturating_sub(reserved);
        if fitting < MIN_CONNECTIONS {
            let needed = ((MIN_CONNECTIONS + reserved) as u64) * 2;
            return Err(DescriptorsError { limit, needed });
        }
        let lowered = (fitting < options.max_connections).then_some(fitting);
        options.max_connections = lowered.unwrap_or(options.max_connections);
        Ok(Self { limit, lowered })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn options() -> Options {
        Options {
            max_connections: 4_096,
            reserved_connections: 32,
            max_per_address: None,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            min_body_rate: 4_096,
            idle_timeout: Duration::from_secs(75),
        }
    }

    #[test]
    fn half_of_the_descriptors_are_left_to_deliveries() {
        let mut ample = options();
        let limit = 65_536;
        let fit = Descriptors::within(limit, &mut ample).unwrap();
        assert_eq!((fit, ample.max_connections), (Descriptors { limit, lowered: None }, 4_096));

        let mut scarce = options();
        let fit = Descriptors::within(1_024, &mut scarce).unwrap();
        assert_eq!((fit.lowered, scarce.max_connections), (Some(480), 480));

        let refused = Descriptors::within(64, &mut options()).unwrap_err().to_string();
        assert!(refused.contains("only 64") && refused.contains("at least 96"), "{refused}");
    }
}
