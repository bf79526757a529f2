//! Which certificates are trusted.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use rustls_platform_verifier::Verifier;

use crate::explain::is_authority;

/// The certificates of a PEM bundle. An error without a source: it holds none.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Option<pem::Error>> {
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(Some)?;
    if found.is_empty() { Err(None) } else { Ok(found) }
}

/// A configuration that trusts these certificates and the system's authorities. With
/// `without_system`, a system that has no authorities is fine.
pub fn client_config(
    roots: Vec<CertificateDer<'static>>,
    without_system: bool,
) -> Result<ClientConfig, Error> {
    // The binary installs a provider at start. Without it, the crate uses the same one, ring.
    let provider = CryptoProvider::get_default().cloned();
    let provider = provider.unwrap_or_else(|| Arc::new(ring::default_provider()));
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    match Verifier::new_with_extra_roots(roots.clone(), provider) {
        Ok(inner) => Ok(builder
            .dangerous() // required for any verifier that is not from rustls itself
            .with_custom_certificate_verifier(Arc::new(Trust { inner, roots }))
            .with_no_client_auth()),
        Err(_) if without_system => {
            let mut store = RootCertStore::empty();
            for root in roots {
                store.add(root)?;
            }
            Ok(builder.with_root_certificates(store).with_no_client_auth())
        }
        Err(error) => Err(error),
    }
}

/// The system's verifier, and exactly these certificates.
#[derive(Debug)]
struct Trust {
    inner: Verifier,
    roots: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // webpki has checked its dates before this, and refuses it only as an authority's.
            Err(Error::InvalidCertificate(CertificateError::Other(other)))
                if is_authority(&other.to_string()) && self.roots.contains(end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{
        BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
    };

    use super::*;
    use crate::explain;

    /// A certificate for `a.example` that signs itself.
    fn own(change: impl Fn(&mut CertificateParams)) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2040, 1, 1);
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn authority(params: &mut CertificateParams) {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }

    /// 1 January 2030.
    const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_hours(525_960));

    fn verify(
        certificate: &CertificateDer<'static>,
        trusted: &[&CertificateDer<'static>],
        name: &'static str,
    ) -> Result<(), &'static str> {
        let roots: Vec<_> = trusted.iter().map(|one| (*one).clone()).collect();
        let provider = Arc::new(ring::default_provider());
        let inner = Verifier::new_with_extra_roots(roots.clone(), provider).unwrap();
        let trust = Trust { inner, roots };
        let name = ServerName::try_from(name).unwrap();
        let verified = trust.verify_server_cert(certificate, &[], &name, &[], NOW);
        verified.map(drop).map_err(|error| explain(&error))
    }

    /// Case w8.
    #[test]
    fn a_self_signed_certificate_of_an_authority_is_trusted_exactly_or_refused_with_the_remedy() {
        let (certificate, other) = (own(authority), own(authority));
        assert_eq!(verify(&certificate, &[&certificate], "a.example"), Ok(()));
        for trusted in [&[][..], &[&other][..]] {
            let message = verify(&certificate, trusted, "a.example").unwrap_err();
            assert!(message.contains("CA:TRUE") && message.contains("CA:FALSE"), "{message}");
        }
        let message = verify(&certificate, &[&certificate], "b.example").unwrap_err();
        assert!(message.contains("for another name"), "{message}");
    }

    #[test]
    fn every_cause_has_a_remedy() {
        let ended = own(|params| params.not_after = date_time_ymd(2025, 1, 1));
        let early = own(|params| params.not_before = date_time_ymd(2035, 1, 1));
        let ended_authority = own(|params| {
            authority(params);
            params.not_after = date_time_ymd(2025, 1, 1);
        });
        let client = own(|params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        });
        for (certificate, message) in [
            (&ended, "has expired; renew it"),
            (&ended_authority, "has expired; renew it"),
            (&early, "is not valid yet; check the clocks"),
            (&client, "is not for servers; issue one"),
            (&own(|_| ()), "not from a trusted authority"),
        ] {
            let said = verify(certificate, &[], "a.example").unwrap_err();
            assert!(said.contains(message), "{said}");
            assert!(said.contains(';'), "{said}");
        }
    }
}
