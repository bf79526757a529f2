//! The cause of a failed handshake and its remedy, in words.

use rustls::{AlertDescription, CertificateError as Cert, Error};

/// The other side does not speak TLS.
pub const NOT_TLS: &str = "this port does not speak TLS; check the port and the scheme";

/// What is wrong and what to do. It continues a sentence that begins with the other side's name.
pub fn explain(error: &Error) -> &'static str {
    match error {
        Error::InvalidCertificate(certificate) => certificate_message(certificate),
        Error::InvalidMessage(_) => NOT_TLS,
        Error::AlertReceived(alert) => alert_message(*alert),
        Error::PeerIncompatible(_) => {
            "it offers no version or cipher of TLS that is still secure; enable TLS 1.2 or 1.3"
        }
        Error::NoCertificatesPresented => "it sent no certificate; configure one",
        _ => "the TLS handshake failed",
    }
}

const WRONG_PURPOSE: &str =
    "its TLS certificate is not for servers; issue one with the extended key usage serverAuth";
/// What the platform's verifier makes of a wrong purpose.
const PLATFORMS_WRONG_PURPOSE: &str = "certificate had invalid extensions";

fn certificate_message(error: &Cert) -> &'static str {
    match error {
        Cert::Expired | Cert::ExpiredContext { .. } => "its TLS certificate has expired; renew it",
        Cert::NotValidYet | Cert::NotValidYetContext { .. } => {
            "its TLS certificate is not valid yet; check the clocks of both sides"
        }
        Cert::NotValidForName | Cert::NotValidForNameContext { .. } => {
            "its TLS certificate is for another name; check the host, or issue a certificate that \
             has it as a subject alternative name"
        }
        Cert::UnknownIssuer => {
            "its TLS certificate is not from a trusted authority, or an intermediate certificate \
             is missing; send the whole chain, or trust the authority"
        }
        Cert::InvalidPurpose | Cert::InvalidPurposeContext { .. } => WRONG_PURPOSE,
        Cert::Other(other) if other.to_string() == PLATFORMS_WRONG_PURPOSE => WRONG_PURPOSE,
        Cert::Revoked => "its TLS certificate was revoked; renew it",
        Cert::BadSignature => {
            "its TLS certificate is not from a trusted authority: one of the same name has another \
             key; trust the authority that signed it, or issue it again"
        }
        Cert::BadEncoding => "its TLS certificate cannot be read; issue it again",
        Cert::Other(other) if is_authority(&other.to_string()) => {
            "its TLS certificate is that of an authority (CA:TRUE), as `openssl req -x509` makes \
             it; issue one with basicConstraints=CA:FALSE, or trust exactly this certificate"
        }
        Cert::Other(other) if other.to_string() == "UnsupportedCertVersion" => {
            "its TLS certificate has version 1, which has no names; issue one of version 3"
        }
        _ => "its TLS certificate is not valid; issue it again",
    }
}

/// rustls passes on webpki's error, which is known by its name only.
pub(crate) fn is_authority(error: &str) -> bool {
    error == "CaUsedAsEndEntity"
}

fn alert_message(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::UnrecognisedName => {
            "it has no TLS certificate for this name; check the host"
        }
        AlertDescription::CertificateRequired | AlertDescription::BadCertificate => {
            "it asks for a client certificate, which Fanfare does not send"
        }
        AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure => {
            "it refused the TLS handshake: both sides have no version or cipher in common"
        }
        _ => "it refused the TLS handshake; its logs may say why",
    }
}
