//! Access tokens: JWTs signed with EdDSA, short-lived, pinned to one purpose each (RFC 8725).

use std::convert::Infallible;
use std::sync::Arc;

use domain::id::{CustomerId, KeyId, SessionId, TenantId, UserId};
use domain::permission::{Role, Scope};
use domain::time::Timestamp;
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::signature::{Error as SignatureError, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use quick_cache::sync::Cache;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::cx::Actor;
use crate::error::{Error, Result};

/// How long an access token is good for, in seconds.
pub const ACCESS_SECONDS: i64 = 900;
/// The longest life of a token minted for an integrator's browser, in seconds.
pub const BROWSER_SECONDS_MAX: i64 = 3_600;
const ISSUER: &str = "tollgate";
const AUDIENCE: &str = "tollgate-api";
const ACCESS: &str = "at+jwt";
const TICKET: &str = "ticket+jwt";
/// How long a ticket for a live connection is good for, in seconds.
pub const TICKET_SECONDS: i64 = 30;
/// Checked tokens kept in memory.
const CHECKED_MAX: usize = 20_000;
/// A longer token is not looked at.
const TOKEN_BYTES_MAX: usize = 2_048;

/// What a token says.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    ten: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cus: Option<CustomerId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    scopes: Vec<Scope>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    /// Who really looks, when somebody looks as this user does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// In a ticket: when the token ends that it was made with, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<i64>,
    /// The API key that minted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<KeyId>,
}

/// A token that was checked.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The tenant that it belongs to.
    pub tenant: TenantId,
    /// Who it stands for.
    pub actor: Actor,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The one web origin that may use it, if it is bound to one.
    pub origin: Option<String>,
}

/// Signs and checks access tokens with the platform's own key.
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    key_id: String,
    checked: Cache<String, Arc<Verified>>,
    spent: Cache<String, ()>,
}

impl Tokens {
    /// Takes a PKCS #8 key pair.
    pub fn new(pkcs8: &[u8]) -> Result<Self> {
        // A second installation in one process finds the first, which is the same.
        let _installed_before = PROVIDER.install_default();
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(Error::internal)?;
        let public = pair.public_key().as_ref().to_vec();
        let key_id = super::seal::hash(&String::from_utf8_lossy(&public)).chars().take(16).collect();
        Ok(Self {
            encoding: EncodingKey::from_ed_der(pkcs8),
            decoding: DecodingKey::from_ed_der(&public),
            key_id,
            checked: Cache::new(CHECKED_MAX),
            spent: Cache::new(CHECKED_MAX),
        })
    }

    /// A new PKCS #8 key pair.
    pub fn generate() -> Result<Vec<u8>> {
        let random = ring::rand::SystemRandom::new();
        Ed25519KeyPair::generate_pkcs8(&random).map(|pkcs8| pkcs8.as_ref().to_vec()).map_err(Error::internal)
    }

    /// The access token of a signed-in person.
    pub fn for_user(&self, tenant: &TenantId, actor: &Actor, now: Timestamp) -> Result<String> {
        let Actor::User { user, role, customer, session } = actor else {
            return Err(Error::internal("only people get access tokens"));
        };
        let claims = Claims {
            sid: Some(session.to_string()),
            role: Some(*role),
            cus: customer.clone(),
            ..blank(tenant, user.as_str(), now, ACCESS_SECONDS)
        };
        self.sign(ACCESS, &claims)
    }

    /// The token of a person who looks at the product as one of its users does.
    pub fn for_viewer(&self, tenant: &TenantId, actor: &Actor, now: Timestamp) -> Result<String> {
        let Actor::Viewer { user, customer, by, session } = actor else {
            return Err(Error::internal("only viewers get a viewer's token"));
        };
        let claims = Claims {
            sid: Some(session.to_string()),
            cus: customer.clone(),
            by: Some(by.to_string()),
            ..blank(tenant, user.as_str(), now, ACCESS_SECONDS)
        };
        self.sign(ACCESS, &claims)
    }

    /// A ticket that opens one live connection of the caller.
    pub fn ticket(&self, tenant: &TenantId, actor: &Actor, now: Timestamp) -> Result<String> {
        let claims = match actor {
            Actor::User { user, role, customer, session } => Claims {
                sid: Some(session.to_string()),
                role: Some(*role),
                cus: customer.clone(),
                ..blank(tenant, user.as_str(), now, TICKET_SECONDS)
            },
            Actor::Browser { customer, scopes, until, key } => Claims {
                key: key.clone(),
                end: Some(until.as_micros().div_euclid(1_000_000)),
                cus: Some(customer.clone()),
                scopes: scopes.to_vec(),
                ..blank(tenant, customer.as_str(), now, TICKET_SECONDS)
            },
            Actor::Key { .. } | Actor::Viewer { .. } | Actor::System | Actor::Anonymous => {
                return Err(Error::new(crate::error::Code::Forbidden, "Tickets are for people and minted tokens."));
            }
        };
        self.sign(TICKET, &claims)
    }

    /// Checks a ticket and spends it: a second time it is nothing.
    pub fn spend(&self, ticket: &str, now: Timestamp) -> Option<Verified> {
        let verified = self.check(TICKET, ticket, now)?;
        let mut first = false;
        let spent = self.spent.get_or_insert_with(ticket, || {
            first = true;
            Ok::<_, Infallible>(())
        });
        (spent.is_ok() && first).then_some(verified)
    }

    /// A token for a browser of the integrator's, bound to one customer, and to the key that asks for it.
    pub fn for_browser(
        &self,
        (tenant, actor): (&TenantId, &Actor),
        customer: &CustomerId,
        (scopes, origin): (Vec<Scope>, Option<String>),
        (now, seconds): (Timestamp, i64),
    ) -> Result<String> {
        let claims = Claims {
            key: actor.key().cloned(),
            cus: Some(customer.clone()),
            scopes,
            origin,
            ..blank(tenant, customer.as_str(), now, seconds.clamp(1, BROWSER_SECONDS_MAX))
        };
        self.sign(ACCESS, &claims)
    }

    fn sign(&self, purpose: &str, claims: &Claims) -> Result<String> {
        let header =
            Header { typ: Some(purpose.to_owned()), kid: Some(self.key_id.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, claims, &self.encoding).map_err(Error::internal)
    }

    /// Checks an access token; none says nothing about why it is not good. A good one is remembered until it ends.
    pub fn verify(&self, token: &str, now: Timestamp) -> Option<Arc<Verified>> {
        if let Some(known) = self.checked.get(token) {
            return Some(known).filter(|known| now < known.expires_at);
        }
        let verified = Arc::new(self.check(ACCESS, token, now)?);
        self.checked.insert(token.to_owned(), verified.clone());
        Some(verified)
    }

    fn check(&self, purpose: &str, token: &str, now: Timestamp) -> Option<Verified> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let header = jsonwebtoken::decode_header(token).ok()?;
        if header.typ.as_deref() != Some(purpose) || header.kid.as_deref() != Some(&self.key_id) {
            return None;
        }
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // Time is checked here, against the one clock of the call.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation).ok()?.claims;
        let seconds = now.as_micros().div_euclid(1_000_000);
        if seconds >= claims.exp || seconds < claims.nbf - 5 {
            return None;
        }
        read(claims)
    }
}

fn blank(tenant: &TenantId, subject: &str, now: Timestamp, seconds: i64) -> Claims {
    let iat = now.as_micros().div_euclid(1_000_000);
    Claims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: subject.to_owned(),
        ten: tenant.to_string(),
        iat,
        nbf: iat,
        exp: iat.saturating_add(seconds),
        jti: domain::id::encode(crate::cx::id_bits()),
        sid: None,
        role: None,
        cus: None,
        scopes: Vec::new(),
        origin: None,
        by: None,
        end: None,
        key: None,
    }
}

fn read(claims: Claims) -> Option<Verified> {
    let tenant = TenantId::parse(&claims.ten).ok()?;
    let expires_at = Timestamp::EPOCH.plus_seconds(claims.exp);
    let actor = match (claims.role, claims.sid) {
        (Some(role), Some(session)) => Actor::User {
            user: UserId::parse(&claims.sub).ok()?,
            role,
            customer: claims.cus,
            session: SessionId::parse(&session).ok()?,
        },
        (None, Some(session)) => Actor::Viewer {
            user: UserId::parse(&claims.sub).ok()?,
            customer: claims.cus,
            by: UserId::parse(&claims.by?).ok()?,
            session: SessionId::parse(&session).ok()?,
        },
        (None, None) if claims.by.is_none() => {
            let until = claims.end.map_or(expires_at, |end| Timestamp::EPOCH.plus_seconds(end));
            Actor::Browser { customer: claims.cus?, scopes: claims.scopes.into(), until, key: claims.key }
        }
        _ => return None,
    };
    Some(Verified { tenant, actor, expires_at, origin: claims.origin })
}

/// Signatures by the library that TLS brings anyway; every algorithm but EdDSA is refused.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| {
        only_eddsa(*algorithm)?;
        let pair = Ed25519KeyPair::from_pkcs8(key.as_bytes()).map_err(|_| ErrorKind::InvalidEddsaKey)?;
        Ok(Box::new(RingSigner(pair)))
    },
    verifier_factory: |algorithm, key| {
        only_eddsa(*algorithm)?;
        let public = key.try_get_as_bytes().map_err(|_| ErrorKind::InvalidEddsaKey)?.to_vec();
        Ok(Box::new(RingVerifier(public)))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

fn only_eddsa(algorithm: Algorithm) -> jsonwebtoken::errors::Result<()> {
    if algorithm == Algorithm::EdDSA { Ok(()) } else { Err(ErrorKind::InvalidAlgorithm.into()) }
}

struct RingSigner(Ed25519KeyPair);

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

struct RingVerifier(Vec<u8>);

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        Tokens::new(&Tokens::generate().unwrap()).unwrap()
    }

    fn user() -> Actor {
        Actor::User {
            user: UserId::stored("usr_a"),
            role: Role::User,
            customer: Some(CustomerId::stored("cus_a")),
            session: SessionId::stored("ses_a"),
        }
    }

    #[test]
    fn a_token_is_good_until_it_ends_and_only_under_its_key() {
        let (tokens, now) = (tokens(), Timestamp::from_micros(1_700_000_000_000_000));
        let token = tokens.for_user(&TenantId::stored("ten_a"), &user(), now).unwrap();
        assert_eq!(tokens.verify(&token, now).map(|v| v.actor.clone()), Some(user()));
        let ticket = tokens.ticket(&TenantId::stored("ten_a"), &user(), now).unwrap();
        assert!(tokens.verify(&ticket, now).is_none(), "a ticket is no access token");
        assert!(tokens.spend(&token, now).is_none(), "an access token is no ticket");
        assert!(tokens.spend(&ticket, now).is_some());
        assert!(tokens.spend(&ticket, now).is_none(), "spent");
        assert!(tokens.verify(&token, now.plus_seconds(ACCESS_SECONDS)).is_none(), "expired");
        assert!(self::tokens().verify(&token, now.plus_seconds(-60)).is_none(), "not yet");
        assert!(self::tokens().verify(&token, now).is_none(), "another key");
    }

    #[test]
    fn a_viewers_token_stands_for_a_viewer_alone() {
        let (tokens, now) = (tokens(), Timestamp::from_micros(1_700_000_000_000_000));
        let viewer = Actor::Viewer {
            user: UserId::stored("usr_a"),
            customer: Some(CustomerId::stored("cus_a")),
            by: UserId::stored("usr_b"),
            session: SessionId::stored("ses_b"),
        };
        let token = tokens.for_viewer(&TenantId::stored("ten_a"), &viewer, now).unwrap();
        assert_eq!(tokens.verify(&token, now).map(|v| v.actor.clone()), Some(viewer.clone()));
        assert!(tokens.verify(&token, now.plus_seconds(ACCESS_SECONDS)).is_none());
        assert!(tokens.for_viewer(&TenantId::stored("ten_a"), &user(), now).is_err());
        assert!(tokens.ticket(&TenantId::stored("ten_a"), &viewer, now).is_err());
    }

    #[test]
    fn a_forged_header_or_body_is_refused() {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD as URL;
        let (tokens, now) = (tokens(), Timestamp::from_micros(1_700_000_000_000_000));
        let token = tokens.for_user(&TenantId::stored("ten_a"), &user(), now).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let header: serde_json::Value = serde_json::from_slice(&URL.decode(parts[0]).unwrap()).unwrap();
        let mut claims: serde_json::Value = serde_json::from_slice(&URL.decode(parts[1]).unwrap()).unwrap();
        for (field, value) in [("alg", "none"), ("alg", "HS256"), ("typ", "JWT"), ("kid", "../../etc/passwd")] {
            let mut forged = header.clone();
            forged[field] = value.into();
            let forged = URL.encode(forged.to_string());
            for signature in [parts[2], ""] {
                assert!(tokens.verify(&format!("{forged}.{}.{signature}", parts[1]), now).is_none(), "{field}={value}");
            }
        }
        claims["role"] = "owner".into();
        let forged = format!("{}.{}.{}", parts[0], URL.encode(claims.to_string()), parts[2]);
        assert!(tokens.verify(&forged, now).is_none());
        for bad in ["", "a.b.c", "....", &"x".repeat(5_000)] {
            assert!(tokens.verify(bad, now).is_none());
        }
    }
}
