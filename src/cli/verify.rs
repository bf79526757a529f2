//! `fanfare verify`: verifies the signature of a webhook, as a receiver does.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use fanfare_webhook::signature;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use super::{CommandResult, Failure, input, output};
use crate::agenda::Clock;

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Example:
  fanfare verify --secret whsec_… -H 'webhook-id: evt_1' \\
    -H 'webhook-timestamp: 1735228800' -H 'webhook-signature: v1,…' body.json

The body must be the bytes of the request, before any parsing. Every scheme whose headers are \
given is verified: webhook-signature (Standard Webhooks) and X-Webhook-Signature. The exit code is \
0 if all of them are valid.")]
pub(super) struct Args {
    /// File with the body of the request; - reads standard input
    body: PathBuf,
    /// Secret of the destination
    #[arg(long, env = "FANFARE_SECRET", hide_env_values = true)]
    secret: String,
    /// Header of the request, as `Name: value`; can be repeated
    #[arg(
        short = 'H',
        long = "header",
        value_name = "HEADER",
        required = true,
        value_parser = header
    )]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// How many seconds the timestamp may differ from now; 0 skips the check
    #[arg(long, value_name = "SECONDS", default_value_t = signature::DEFAULT_TOLERANCE_S)]
    tolerance: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn header(line: &str) -> Result<(HeaderName, HeaderValue), &'static str> {
    let parsed = line.split_once(':').and_then(|(name, value)| {
        let name = HeaderName::try_from(name.trim()).ok()?;
        Some((name, HeaderValue::try_from(value.trim()).ok()?))
    });
    parsed.ok_or("write a header such as 'webhook-id: evt_1'")
}

pub(super) fn run(args: &Args) -> CommandResult {
    let mut headers = HeaderMap::new();
    for (name, value) in args.headers.iter().cloned() {
        headers.append(name, value);
    }
    let body = input::bytes(&args.body)?;
    let now = Clock::System.now_ms() / 1000;
    let tolerance = if args.tolerance == 0 { i64::MAX } else { args.tolerance };
    match signature::verify(&args.secret, &headers, &body, now, tolerance) {
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
            Err(Failure::Reported)
        }
        Err(error) => Err(Failure::refused(format!("not valid: {error}"))),
    }
}
