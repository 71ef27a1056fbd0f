//! Mail servers: one connection pool for each account, and what their answers mean for a mail.
//!
//! Owns TLS, time-outs, and which servers may be called.
//! Must not retry: who sends keeps the mail and knows when it was tried.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, UNIX_EPOCH};

use domain::time::Timestamp;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use reqwest::Url;
use tokio::time::timeout;

use crate::http::{Reach, Secret};

/// How long a server has for each answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a name may take to be looked up.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one mail may take in all.
const SEND_TIMEOUT: Duration = Duration::from_mins(1);
/// How long an idle connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections to one account.
const CONNECTIONS_MAX: u32 = 2;

/// How the connection is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte, usually on port 465.
    Tls,
    /// Plain at first, then TLS or nothing at all: usually on port 587.
    StartTls,
    /// Not at all: for a server on this very machine alone.
    None,
}

impl Security {
    /// Each, in the order of documentation.
    pub const ALL: [Self; 3] = [Self::StartTls, Self::Tls, Self::None];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::StartTls => "starttls",
            Self::None => "none",
        }
    }

    /// The one of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|security| security.name() == name)
    }

    /// The port that is usual for it.
    pub const fn port(self) -> u16 {
        match self {
            Self::Tls => 465,
            Self::StartTls => 587,
            Self::None => 25,
        }
    }
}

/// An account at a mail server.
#[derive(Debug, Clone)]
pub struct Config {
    /// The server's name, which its certificate must carry, or its address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is secured.
    pub security: Security,
    /// Who signs in; none for a server that asks nobody.
    pub username: Option<String>,
    /// With what.
    pub password: Secret,
    /// Certificates, as PEM, that are trusted besides those of the public authorities.
    pub ca_pem: Option<String>,
    /// Which servers may be called.
    pub reach: Reach,
    /// What we call ourselves to the server.
    pub hello: String,
}

/// What makes an account unusable, in words for who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

impl Config {
    /// Reads `smtp://user:password@host:587` (STARTTLS), `smtps://…` (TLS), and `smtp://127.0.0.1:1025?tls=none`.
    /// A user name or password with a `@`, `:` or `/` is written in per cents.
    pub fn parse(url: &str) -> Result<Self, Unusable> {
        let form =
            || Unusable("write it as smtp://USER:PASSWORD@HOST:587 or smtps://USER:PASSWORD@HOST:465".to_owned());
        let url = Url::parse(url.trim()).map_err(|_| form())?;
        let query = url.query().unwrap_or_default();
        let security = match (url.scheme(), query) {
            ("smtps", "") => Security::Tls,
            ("smtp", "") => Security::StartTls,
            ("smtp", "tls=none") => Security::None,
            _ => return Err(form()),
        };
        let host = url.host_str().ok_or_else(form)?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let plain = |text: &str| unescape(text).ok_or_else(form);
        let username = Some(plain(url.username())?).filter(|name| !name.is_empty());
        let password = Secret::new(plain(url.password().unwrap_or_default())?);
        let port = url.port().unwrap_or(security.port());
        let hello = "localhost".to_owned();
        Ok(Self { host, port, security, username, password, ca_pem: None, reach: Reach::Any, hello })
    }

    /// Whether anything about the account can be told wrong before it is used.
    pub fn check(&self) -> Result<(), Unusable> {
        if self.security == Security::None {
            let local = self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
            if !local {
                return Err(Unusable("without TLS only a server of this machine (127.0.0.1) is used".to_owned()));
            }
        }
        if let Ok(address) = self.host.parse::<IpAddr>()
            && !self.reach.allows(address)
        {
            return Err(Unusable(self.reach.wanted().to_owned()));
        }
        self.tls().map(|_| ())
    }

    fn tls(&self) -> Result<TlsParameters, Unusable> {
        let mut builder = TlsParameters::builder(self.host.clone()).certificate_store(CertificateStore::WebpkiRoots);
        if let Some(pem) = &self.ca_pem {
            let form = || Unusable("the certificate must be PEM: -----BEGIN CERTIFICATE-----".to_owned());
            // What holds no certificate at all is read as none, without an error.
            if !pem.contains("-----BEGIN CERTIFICATE-----") {
                return Err(form());
            }
            let certificate = Certificate::from_pem(pem.as_bytes()).map_err(|_| form())?;
            builder = builder.add_root_certificate(certificate);
        }
        builder.build().map_err(|error| Unusable(self.password.redact(&told(&error))))
    }
}

/// What stands for a character in a URL, as that character.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// What a failure means for the mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The server cannot be reached, or not securely: nothing else will go through it now either.
    Away,
    /// The server does not take our account: somebody must mend that, and the mail is not to blame.
    Account,
    /// Not now; the same mail may go later.
    Temporary,
    /// Never: the server refuses this mail or its recipient for good.
    Permanent,
}

/// Why a mail was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    /// What it means.
    pub kind: FailureKind,
    /// What happened, without our credentials.
    pub detail: String,
}

/// Somebody with an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// What people read.
    pub name: Option<String>,
    /// Where mail goes.
    pub address: String,
}

impl Party {
    fn mailbox(&self) -> Result<Mailbox, Failure> {
        let address: Address = self.address.parse().map_err(|_| {
            let detail = format!("{} is no address that mail can be sent to", printable(&self.address));
            Failure { kind: FailureKind::Permanent, detail }
        })?;
        // What is no name is left out: a line break would begin a header of its own.
        Ok(Mailbox::new(self.name.as_deref().map(printable).filter(|name| !name.trim().is_empty()), address))
    }
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A mail, whole.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its `Message-ID`, the same in every attempt, with its angle brackets.
    pub id: String,
    /// When it was written.
    pub date: Timestamp,
    /// From whom.
    pub from: Party,
    /// To whom.
    pub to: Party,
    /// Where answers go, when not to the sender.
    pub reply_to: Option<String>,
    /// What it is about.
    pub subject: String,
    /// As text.
    pub text: String,
    /// As HTML.
    pub html: String,
    /// Where one click ends mails of this kind (RFC 8058).
    pub unsubscribe: Option<String>,
}

impl Message {
    fn build(&self) -> Result<lettre::Message, Failure> {
        let unfit = |detail: String| Failure { kind: FailureKind::Permanent, detail };
        let micros = u64::try_from(self.date.as_micros()).unwrap_or_default();
        let mut builder = lettre::Message::builder()
            .message_id(Some(printable(&self.id)))
            .date(UNIX_EPOCH + Duration::from_micros(micros))
            .from(self.from.mailbox()?)
            .to(self.to.mailbox()?)
            .subject(printable(&self.subject))
            // No machine shall answer (RFC 3834).
            .raw_header(header("Auto-Submitted", "auto-generated"));
        if let Some(address) = &self.reply_to {
            builder = builder.reply_to(Party { name: None, address: address.clone() }.mailbox()?);
        }
        if let Some(url) = self.unsubscribe.as_deref().filter(|url| url.bytes().all(|byte| byte.is_ascii_graphic())) {
            builder = builder
                .raw_header(header("List-Unsubscribe", &format!("<{url}>")))
                .raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"));
        }
        let body = MultiPart::alternative_plain_html(self.text.clone(), self.html.clone());
        builder.multipart(body).map_err(|error| unfit(error.to_string()))
    }
}

/// A header of plain characters, which needs no encoding and must not be folded inside an address.
fn header(name: &'static str, value: &str) -> HeaderValue {
    let value = printable(value);
    HeaderValue::dangerous_new_pre_encoded(HeaderName::new_from_ascii_str(name), value.clone(), value)
}

/// A pool of connections to one account. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    password: Secret,
}

impl Smtp {
    /// Looks the server up. Its address is judged here and used from here on, so that a name which leads elsewhere
    /// later is not followed.
    pub async fn new(config: &Config) -> Result<Self, Failure> {
        // Someone else in this process may have installed a provider first; then that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let account = |Unusable(detail)| Failure { kind: FailureKind::Account, detail };
        config.check().map_err(account)?;
        let address = look_up(config).await?;
        let tls = match config.security {
            Security::Tls => Tls::Wrapper(config.tls().map_err(account)?),
            Security::StartTls => Tls::Required(config.tls().map_err(account)?),
            Security::None => Tls::None,
        };
        let pool = PoolConfig::new().min_idle(0).max_size(CONNECTIONS_MAX).idle_timeout(IDLE_TIMEOUT);
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.to_string())
            .port(config.port)
            .tls(tls)
            .timeout(Some(ANSWER_TIMEOUT))
            .hello_name(ClientId::Domain(config.hello.clone()))
            .pool_config(pool);
        if let Some(username) = &config.username {
            let password = config.password.expose().to_owned();
            builder = builder.credentials(Credentials::new(username.clone(), password));
        }
        Ok(Self { transport: builder.build(), password: config.password.clone() })
    }

    /// Sends a mail; answers what the server said to it.
    pub async fn send(&self, message: &Message) -> Result<String, Failure> {
        let mail = message.build()?;
        let sent = timeout(SEND_TIMEOUT, self.transport.send(mail)).await;
        let response = sent.map_err(|_| too_late())?.map_err(|error| self.failure(&error))?;
        Ok(self.password.redact(&response.message().collect::<Vec<_>>().join(" ")))
    }

    /// Connects and signs in, and sends nothing.
    pub async fn test(&self) -> Result<(), Failure> {
        let tested = timeout(SEND_TIMEOUT, self.transport.test_connection()).await;
        let stays = tested.map_err(|_| too_late())?.map_err(|error| self.failure(&error))?;
        let gone = || Failure { kind: FailureKind::Away, detail: "the server hangs up".to_owned() };
        stays.then_some(()).ok_or_else(gone)
    }

    fn failure(&self, error: &lettre::transport::smtp::Error) -> Failure {
        let code = error.status().map(u16::from);
        let kind = match code {
            // Sign-in is asked for, refused, or too weak (RFC 4954); 421 ends the connection.
            Some(530 | 534 | 535 | 538) => FailureKind::Account,
            Some(421) => FailureKind::Away,
            Some(400..=499) => FailureKind::Temporary,
            Some(_) => FailureKind::Permanent,
            // The client's own refusals: a server without STARTTLS, or none of our ways to sign in.
            None if error.is_client() => FailureKind::Account,
            None => FailureKind::Away,
        };
        Failure { kind, detail: self.password.redact(&told(error)) }
    }
}

fn too_late() -> Failure {
    Failure { kind: FailureKind::Away, detail: "the server did not answer in time".to_owned() }
}

/// An error with its causes, of which the last says most.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = inner.source();
    }
    text
}

async fn look_up(config: &Config) -> Result<IpAddr, Failure> {
    let away = |detail: String| Failure { kind: FailureKind::Away, detail };
    let unknown = |error: io::Error| away(format!("{} cannot be found: {error}", config.host));
    let looked = timeout(LOOK_UP_TIMEOUT, tokio::net::lookup_host((config.host.as_str(), config.port))).await;
    let found: Vec<SocketAddr> = looked.map_err(|_| too_late())?.map_err(unknown)?.collect();
    let usable = |ip: IpAddr| config.reach.allows(ip) && (config.security != Security::None || ip.is_loopback());
    // The older protocol first: a machine without the newer one often has names for it all the same.
    let mut usable: Vec<IpAddr> = found.into_iter().map(|address| address.ip()).filter(|ip| usable(*ip)).collect();
    usable.sort_by_key(IpAddr::is_ipv6);
    let forbidden = || Failure { kind: FailureKind::Account, detail: config.reach.wanted().to_owned() };
    usable.into_iter().next().ok_or_else(forbidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        let party = |name: &str, address: &str| Party { name: Some(name.to_owned()), address: address.to_owned() };
        Message {
            id: "<eml_1@shop.example>".to_owned(),
            date: Timestamp::from_micros(1_795_305_600_000_000),
            from: party("Shop\r\nBcc: evil@x.example", "no-reply@shop.example"),
            to: party("Änn \"A\" <Exämple>", "ann@example.com"),
            reply_to: None,
            subject: "Größe\r\nBcc: evil@x.example".to_owned(),
            text: "Hello\r\n.\r\nQUIT".to_owned(),
            html: "<p>Hello</p>".to_owned(),
            unsubscribe: Some("https://shop.example/unsubscribe?token=x".to_owned()),
        }
    }

    fn built(message: &Message) -> String {
        String::from_utf8(message.build().expect("it is whole").formatted()).expect("ASCII")
    }

    #[test]
    fn a_mail_is_whole_and_the_same_each_time_but_for_its_boundary() {
        let text = built(&message());
        for line in [
            "Message-ID: <eml_1@shop.example>\r\n",
            "Date: Sun, 22 Nov 2026 00:00:00 +0000\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "List-Unsubscribe: <https://shop.example/unsubscribe?token=x>\r\n",
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
            "Content-Type: multipart/alternative;",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }

    #[test]
    fn nothing_in_a_name_a_subject_or_an_address_begins_a_header() {
        let text = built(&message());
        let (headers, _) = text.split_once("\r\n\r\n").expect("headers and a body");
        assert!(!headers.lines().any(|line| line.to_ascii_lowercase().starts_with("bcc")), "{headers}");
        for address in ["ann@example.com\r\nBcc: evil@x.example", "ann@example.com, evil@x.example", "ann", ""] {
            let to = Party { name: None, address: address.to_owned() };
            let refused = Message { to, ..message() }.build().expect_err("no address");
            assert_eq!(refused.kind, FailureKind::Permanent);
        }
    }

    #[test]
    fn an_account_is_read_from_a_url() {
        let read = |url| {
            Config::parse(url).map(|config| {
                let password = config.password.expose().to_owned();
                (config.host, config.port, config.security, config.username, password)
            })
        };
        let host = "mail.example.com".to_owned();
        assert_eq!(
            read("smtp://me%40shop:p%3Aw@mail.example.com").ok(),
            Some((host.clone(), 587, Security::StartTls, Some("me@shop".to_owned()), "p:w".to_owned()))
        );
        assert_eq!(read("smtps://mail.example.com").ok(), Some((host, 465, Security::Tls, None, String::new())));
        assert_eq!(
            read("smtp://127.0.0.1:1025?tls=none").ok(),
            Some(("127.0.0.1".to_owned(), 1025, Security::None, None, String::new()))
        );
        for wrong in
            ["", "mail.example.com", "http://mail", "smtp://", "smtp://h?tls=no", "smtps://h?tls=none", "smtp://%zz@h"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn without_tls_only_this_machine_is_called() {
        let checked = |url: &str, reach| Config { reach, ..Config::parse(url).expect("a URL") }.check().is_ok();
        assert!(checked("smtp://127.0.0.1?tls=none", Reach::Any) && checked("smtp://localhost?tls=none", Reach::Any));
        assert!(
            !checked("smtp://10.0.0.1?tls=none", Reach::Any) && !checked("smtp://mail.example?tls=none", Reach::Any)
        );
        assert!(checked("smtps://10.0.0.1", Reach::Any) && !checked("smtps://10.0.0.1", Reach::Public));
        let config = Config { ca_pem: Some("no pem".to_owned()), ..Config::parse("smtps://h.example").expect("a URL") };
        assert!(config.check().is_err());
    }

    #[tokio::test]
    async fn a_name_that_leads_where_it_may_not_is_not_called() {
        let local = Config { reach: Reach::Public, ..Config::parse("smtps://localhost").expect("a URL") };
        assert_eq!(Smtp::new(&local).await.expect_err("it is this machine").kind, FailureKind::Account);
    }
}
