//! How the gate's own connection reaches the server: the same `sslmode` and `sslrootcert` of the database URL that the
//! pool obeys, of which tokio-postgres reads only a part.
//!
//! As with libpq, `prefer` and `require` encrypt without asking who answers; `verify-ca` checks the certificate and
//! `verify-full` its name as well.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;
use url::Url;

use super::session::with_cause;
use crate::error::{Error, Result};

/// Where the server is, and how to speak to it.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
}

/// What must be true of the server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    Nothing,
    Issuer,
    IssuerAndName,
}

impl Link {
    /// Reads a database URL.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let refused = |why: String| Error::Setup(format!("the gate cannot use the database URL: {why}"));
        let mut url = Url::parse(text).map_err(|e| refused(e.to_string()))?;
        let (mut mode, mut check, mut root) = (SslMode::Prefer, Check::Nothing, None);
        let mut others = Vec::new();
        for (name, value) in url.query_pairs() {
            match &*name {
                "sslmode" | "ssl-mode" => (mode, check) = read_mode(&value).map_err(refused)?,
                "sslrootcert" | "ssl-root-cert" | "ssl-ca" => root = Some(value.into_owned()),
                "sslcert" | "sslkey" | "ssl-cert" | "ssl-key" => {
                    return Err(refused(format!(
                        "`{name}`: certificates of clients are not supported; use a password"
                    )));
                }
                // Of the pool alone.
                "statement-cache-capacity" => {}
                _ => others.push((name.into_owned(), value.into_owned())),
            }
        }
        url.set_query(None);
        if !others.is_empty() {
            url.query_pairs_mut().extend_pairs(others);
        }
        let mut config: Config = url.as_str().parse().map_err(|e: tokio_postgres::Error| refused(with_cause(&e)))?;
        config.ssl_mode(mode);
        Ok(Self { config, tls: MakeRustlsConnect::new(client(check, root.as_deref())?) })
    }
}

fn read_mode(value: &str) -> Result<(SslMode, Check), String> {
    match value {
        "disable" | "allow" => Ok((SslMode::Disable, Check::Nothing)),
        "prefer" => Ok((SslMode::Prefer, Check::Nothing)),
        "require" => Ok((SslMode::Require, Check::Nothing)),
        "verify-ca" => Ok((SslMode::Require, Check::Issuer)),
        "verify-full" => Ok((SslMode::Require, Check::IssuerAndName)),
        other => Err(format!("sslmode `{other}` is none of disable, prefer, require, verify-ca and verify-full")),
    }
}

fn client(check: Check, root: Option<&str>) -> Result<ClientConfig> {
    let failed = |e: &dyn std::fmt::Display| Error::Setup(format!("TLS to the database: {e}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider.clone());
    let client = client.with_safe_default_protocol_versions().map_err(|e| failed(&e))?;
    let roots = Arc::new(roots(root)?);
    if check == Check::IssuerAndName {
        return Ok(client.with_root_certificates(roots).with_no_client_auth());
    }
    let issuer = match check {
        Check::Nothing => None,
        Check::Issuer | Check::IssuerAndName => {
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone());
            Some(verifier.build().map_err(|e| failed(&e))?)
        }
    };
    let verifier = Arc::new(AnyName { issuer, provider });
    Ok(client.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// The public authorities, and those of a file.
fn roots(file: Option<&str>) -> Result<RootCertStore> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let Some(file) = file else { return Ok(roots) };
    let failed = |e: &dyn std::fmt::Display| Error::Setup(format!("sslrootcert {file}: {e}"));
    for certificate in CertificateDer::pem_file_iter(file).map_err(|e| failed(&e))? {
        roots.add(certificate.map_err(|e| failed(&e))?).map_err(|e| failed(&e))?;
    }
    Ok(roots)
}

/// Accepts a certificate for whatever name it has, from one of the known issuers or from anybody.
#[derive(Debug)]
struct AnyName {
    issuer: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(issuer) = &self.issuer else { return Ok(ServerCertVerified::assertion()) };
        match issuer.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_as_the_pool_reads_them() {
        let mode = |query: &str| Link::parse(&format!("postgres://me@db.example/app{query}")).map(|l| l.config);
        assert_eq!(mode("").unwrap().get_ssl_mode(), SslMode::Prefer);
        assert_eq!(mode("?sslmode=disable").unwrap().get_ssl_mode(), SslMode::Disable);
        for strict in ["require", "verify-ca", "verify-full"] {
            let config = mode(&format!("?sslmode={strict}&application_name=x")).unwrap();
            assert_eq!((config.get_ssl_mode(), config.get_application_name()), (SslMode::Require, Some("x")));
        }
        for (bad, why) in
            [("?sslmode=yes", "sslmode `yes`"), ("?sslcert=me.pem", "sslcert"), ("?nonsense=1", "nonsense")]
        {
            let error = mode(bad).err().unwrap().to_string();
            assert!(error.contains(why), "{error}");
        }
        let missing = Link::parse("postgres://me@db.example/app?sslrootcert=/nowhere.pem").err().unwrap().to_string();
        assert!(missing.contains("sslrootcert /nowhere.pem"), "{missing}");
    }
}
