//! `fanfare verify`: is the signature of a webhook right?

use std::io::Read;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args as ClapArgs;
use fanfare_webhook::signature;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use super::{Done, Failure, output};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Example:
  fanfare verify --secret whsec_… -H 'webhook-id: evt_1' -H 'webhook-timestamp: 1735228800' \\
    -H 'webhook-signature: v1,…' body.json

The body must be the bytes as they arrived, before any parsing. Checks every scheme whose headers are
given: webhook-signature (Standard Webhooks) and X-Webhook-Signature.")]
pub(super) struct Args {
    /// File with the body as it arrived; - is standard input
    body: PathBuf,
    /// The destination's secret
    #[arg(long, env = "FANFARE_SECRET", hide_env_values = true)]
    secret: String,
    /// A header as it arrived, `Name: value`; several times
    #[arg(short = 'H', long = "header", value_name = "HEADER", required = true)]
    headers: Vec<String>,
    /// How many seconds the timestamp may be off; 0 does not look at it
    #[arg(long, default_value_t = signature::DEFAULT_TOLERANCE_S)]
    tolerance: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Done {
    let headers = headers(&args.headers)?;
    let mut body = Vec::new();
    if args.body.as_os_str() == "-" {
        std::io::stdin().read_to_end(&mut body).context("standard input cannot be read")?;
    } else {
        body = std::fs::read(&args.body)
            .with_context(|| format!("{} cannot be read", args.body.display()))?;
    }
    let now = crate::agenda::Clock::System.now_ms() / 1000;
    let tolerance = if args.tolerance == 0 { i64::MAX } else { args.tolerance };
    let verified = signature::verify(&args.secret, &headers, &body, now, tolerance);
    match verified {
        Ok(schemes) => {
            let schemes: Vec<String> = schemes.iter().map(ToString::to_string).collect();
            if args.json {
                output::json(&json!({"valid": true, "schemes": schemes}));
            } else {
                output::line(format!("valid: {}", schemes.join(", ")));
            }
            Ok(())
        }
        Err(error) if args.json => {
            output::json(&json!({"valid": false, "reason": error.to_string()}));
            Err(Failure::No)
        }
        Err(error) => Err(Failure::Because(format!("not valid: {error}"))),
    }
}

fn headers(lines: &[String]) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for line in lines {
        let parsed = line.split_once(':').and_then(|(name, value)| {
            let name = HeaderName::try_from(name.trim()).ok()?;
            Some((name, HeaderValue::try_from(value.trim()).ok()?))
        });
        let Some((name, value)) = parsed else {
            return Err(Failure::Because(format!(
                "`{line}` is no header; write -H 'webhook-id: evt_1'"
            )));
        };
        headers.append(name, value);
    }
    Ok(headers)
}
