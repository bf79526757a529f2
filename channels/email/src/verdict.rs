//! What an SMTP failure means for the delivery.
//!
//! A 5yz reply to the mail itself is permanent. Problems that the operator can fix are retried: an
//! unreachable server, a wrong certificate, wrong credentials.

use fanfare_contract::{AnswerPart, DeliveryError, Receipt, RenderError};
use lettre::Address;

use crate::smtp::{Reply, SmtpError, Step};
use crate::text;

/// The verdict on a failed exchange.
pub(crate) fn on_failure(error: SmtpError, recipient: &Address) -> DeliveryError {
    let retry = |code: &str, message: String| DeliveryError::retry(code, message);
    match error {
        SmtpError::Refused(step, reply) => on_refusal(step, &reply, recipient),
        SmtpError::Dns(source) => retry(
            "smtp_dns",
            "the mail server's name does not resolve; check its spelling and its DNS".into(),
        )
        .with_source(source),
        SmtpError::Connect(source) => retry(
            "smtp_connect",
            "cannot connect to the mail server; check that it is running".into(),
        )
        .with_source(source),
        SmtpError::Tls(reason) => {
            retry("smtp_tls", format!("TLS with the mail server failed: {reason}"))
        }
        SmtpError::Auth(reason) => {
            retry("smtp_auth", format!("cannot authenticate to the mail server: {reason}"))
        }
        SmtpError::Timeout(step) => {
            let message = format!("the mail server did not answer {step} in time{}", hint(step));
            retry("smtp_timeout", message).maybe_accepted(step == Step::Message)
        }
        SmtpError::Lost(step, source) => {
            let message =
                format!("the connection to the mail server broke at {step}{}", hint(step));
            retry("smtp_lost", message).maybe_accepted(step == Step::Message).with_source(source)
        }
        SmtpError::Protocol(step, code) => retry(
            "smtp_protocol",
            format!("the mail server answered {step} with an unexpected {code}"),
        )
        .maybe_accepted(step == Step::Message),
        SmtpError::TooBig { size, limit } => DeliveryError::permanent(
            "too_big",
            format!("the message has {size} bytes, but the mail server accepts only {limit}"),
        ),
    }
}

/// A server that expects TLS from the start sends no greeting.
fn hint(step: Step) -> &'static str {
    if step == Step::Greeting {
        "; if this port expects TLS from the start (465), set `security` to \"tls\""
    } else {
        ""
    }
}

fn on_refusal(step: Step, reply: &Reply, recipient: &Address) -> DeliveryError {
    let answer = AnswerPart::from_bytes(text::scrub(&reply.text, recipient).as_bytes());
    let code = reply.code;
    let codes = match reply.enhanced() {
        Some(enhanced) => format!("{code} {enhanced}"),
        None => code.to_string(),
    };
    let message = format!("the mail server refused {step}: {} ({codes})", reply.meaning());
    let error = if step == Step::Auth || reply.wants_credentials() {
        DeliveryError::retry("smtp_auth", message)
    } else if code >= 500 && step.is_about_the_mail() {
        let bounced = step == Step::Recipient && reply.is_about_the_address();
        DeliveryError::permanent(format!("smtp_{code}"), message).bounced(bounced)
    } else {
        let refused = step.is_about_the_mail() && !reply.is_about_the_server();
        DeliveryError::retry(format!("smtp_{code}"), message).refused(refused)
    };
    error.with_answer(code, answer)
}

/// The receipt of an accepted mail.
pub(crate) fn on_success(reply: &Reply, recipient: &Address, remark: Option<String>) -> Receipt {
    Receipt {
        resent: Vec::new(),
        status: Some(reply.code),
        answer: AnswerPart::from_bytes(text::scrub(&reply.text, recipient).as_bytes()),
        remote_id: reply.queue_id().map(str::to_owned),
        remark,
    }
}

/// The verdict on a template that fails. A retry would render the same.
pub(crate) fn on_render_error(error: RenderError) -> DeliveryError {
    DeliveryError::permanent("render_failed", error.to_string()).with_source(error)
}
