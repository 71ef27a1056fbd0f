//! The flags of `serve` about mail.

use std::path::PathBuf;

use clap::Args;

use crate::app::mail::account::Platform;
use crate::app::session;
use crate::error::{Code, Error, Result};

/// The platform's mail server, for tenants without one of their own. Without any, mails stay in the outbox.
#[derive(Args)]
pub struct MailArgs {
    /// `smtp://USER:PASSWORD@HOST:587` (STARTTLS) or `smtps://…:465` (TLS); `?tls=none` for a server of this machine.
    #[arg(long, env = "TOLLGATE_SMTP_URL", hide_env_values = true)]
    smtp_url: Option<String>,
    /// The address that mail comes from, such as no-reply@example.com.
    #[arg(long, env = "TOLLGATE_SMTP_FROM")]
    smtp_from: Option<String>,
    /// A file with certificates, as PEM, that are trusted besides the public ones.
    #[arg(long, env = "TOLLGATE_SMTP_CA")]
    smtp_ca: Option<PathBuf>,
    /// Where browsers reach this server, such as `https://app.example.com`; links in mails begin with it. A `{tenant}`
    /// in it stands for a tenant's name.
    #[arg(long, env = "TOLLGATE_PUBLIC_URL")]
    pub public_url: Option<String>,
}

impl MailArgs {
    /// What they say, checked.
    pub fn platform(&self) -> Result<Platform> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        let wrong = |what: &str, why: String| Error::new(Code::Internal, format!("{what}: {why}"));
        let smtp = given(&self.smtp_url).map(|url| {
            let ca = self.smtp_ca.as_ref().filter(|path| !path.as_os_str().is_empty());
            let ca_pem = ca.map(|path| {
                std::fs::read_to_string(path).map_err(|e| wrong("TOLLGATE_SMTP_CA", format!("{}: {e}", path.display())))
            });
            let config = providers::mail::Config { ca_pem: ca_pem.transpose()?, ..smtp_account(&url)? };
            config.check().map_err(|why| wrong("TOLLGATE_SMTP_URL", why.to_string()))?;
            Ok::<_, Error>(config)
        });
        let public_url = given(&self.public_url);
        if public_url.as_ref().is_some_and(|url| !url.starts_with("https://") && !url.starts_with("http://")) {
            return Err(wrong("TOLLGATE_PUBLIC_URL", "begin with https:// or http://".to_owned()));
        }
        let from = given(&self.smtp_from).map(|from| {
            session::address(&from).map_err(|_| wrong("TOLLGATE_SMTP_FROM", "write it as name@example.com".to_owned()))
        });
        Ok(Platform { smtp: smtp.transpose()?, from: from.transpose()?, public_url })
    }
}

fn smtp_account(url: &str) -> Result<providers::mail::Config> {
    let wrong = |why| Error::new(Code::Internal, format!("TOLLGATE_SMTP_URL: {why}"));
    providers::mail::Config::parse(url).map_err(wrong)
}
