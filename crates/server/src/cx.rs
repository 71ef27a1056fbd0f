//! The running product ([`App`]) and the context of one call ([`Cx`]): who calls, in which tenant, and when.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::id::{CustomerId, KeyId, SessionId, UserId};
use domain::permission::{Permission, Role, Scope};
use domain::time::Timestamp;
use providers::object::Objects;
use store::db::Db;
use store::gate::Gate;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::app::component::trial::Trials;
use crate::app::customer::Customers;
use crate::app::decision::Decisions;
use crate::app::fail_open::FailOpen;
use crate::app::key::Keys;
use crate::app::mail::account::{Mailer, Platform};
use crate::app::password::Passwords;
use crate::app::seal::MasterKey;
use crate::app::session::Sessions;
use crate::app::tenant::{Tenant, Tenants};
use crate::app::time::Turns;
use crate::app::token::Tokens;
use crate::live::Hub;

/// The running product.
pub struct App {
    /// The store.
    pub db: Db,
    /// The gate.
    pub gate: Gate,
    /// Tenants in memory.
    pub tenants: Tenants,
    /// Customers in memory.
    pub customers: Customers,
    /// API keys in memory.
    pub keys: Keys,
    /// Sessions in memory.
    pub sessions: Sessions,
    /// Signs and checks access tokens.
    pub tokens: Tokens,
    /// Hashes passwords, a few at once.
    pub passwords: Passwords,
    /// Uses that were allowed while the store was away.
    pub fail_open: FailOpen,
    /// How often tenants may try their components out.
    pub trials: Trials,
    /// Keeps explanations of refusals.
    pub decisions: Decisions,
    /// What this process knows of sending mail.
    pub mailer: Mailer,
    /// Where it listens, once it does.
    pub address: OnceLock<String>,
    /// Where the bytes of files are.
    pub objects: Objects,
    /// Seals secrets.
    pub master: MasterKey,
    /// Whose turn it is of those for whom something is due.
    pub turns: Turns,
    /// Open live connections.
    pub live: Hub,
    /// Says that a use has passed a threshold.
    pub crossed: Notify,
    /// Work that must end before the process does.
    pub tasks: TaskTracker,
    /// Says that the process is to end.
    pub stopping: CancellationToken,
    /// What `serve` was told.
    pub options: Options,
}

/// What `serve` was told, as far as use cases care.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether demo data and the demo's conveniences are there.
    pub demo: bool,
    /// The tenant of a request that names none.
    pub default_tenant: String,
    /// Tenants are found under `{slug}.{base_domain}`.
    pub base_domain: String,
    /// Whether cookies may be plain http's (loopback only).
    pub plain_http: bool,
    /// The mail server of the platform, and where links lead.
    pub mail: Platform,
    /// The call of the sandbox provider that never answers; for tests.
    pub sandbox_hangs: Option<String>,
}

/// Where a simulation takes time and ids from. Set once, before anything else, in a process that does nothing else.
static SIMULATED: OnceLock<Simulated> = OnceLock::new();

/// Time that somebody moves, and ids that follow from it and a seed.
#[derive(Debug)]
pub struct Simulated {
    micros: AtomicI64,
    made: AtomicU64,
    seed: u64,
}

impl Simulated {
    /// Takes the place of the clock and of chance for the rest of the process.
    pub fn begin(seed: u64, at: Timestamp) -> &'static Self {
        SIMULATED.get_or_init(|| Self { micros: AtomicI64::new(at.as_micros()), made: AtomicU64::new(0), seed })
    }

    /// Sets the time, also back.
    pub fn set(&self, at: Timestamp) {
        self.micros.store(at.as_micros(), Ordering::Relaxed);
    }

    /// Like a `UUIDv7`: the time, and a number that no other has.
    fn id_bits(&self) -> u128 {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let millis = self.micros.load(Ordering::Relaxed).div_euclid(1_000);
        let rest = (u128::from(self.seed & 0x3fff) << 48) | u128::from(number);
        (u128::try_from(millis).unwrap_or(0) << 80) | (7 << 76) | (2 << 62) | rest
    }
}

/// Real time in microseconds since 1970: for security, and the base of every tenant's own time.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub fn clock() -> i64 {
    if let Some(simulated) = SIMULATED.get() {
        return simulated.micros.load(Ordering::Relaxed);
    }
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Real time.
pub fn now() -> Timestamp {
    Timestamp::from_micros(clock())
}

/// Bits for a new id: a `UUIDv7`.
pub fn id_bits() -> u128 {
    SIMULATED.get().map_or_else(|| Uuid::now_v7().as_u128(), Simulated::id_bits)
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A person who signed in.
    User {
        /// Who.
        user: UserId,
        /// What they may do.
        role: Role,
        /// For which customer they act.
        customer: Option<CustomerId>,
        /// By which session.
        session: SessionId,
    },
    /// The integrator's server.
    Key {
        /// Which key.
        key: KeyId,
        /// What it may do.
        scopes: Arc<[Scope]>,
    },
    /// A browser of the integrator's, bound to one customer.
    Browser {
        /// The customer.
        customer: CustomerId,
        /// What it may do.
        scopes: Arc<[Scope]>,
        /// When its token ends.
        until: Timestamp,
        /// The key that minted it, with which it ends, too.
        key: Option<KeyId>,
    },
    /// A person of the tenant who looks at the product as one of its users does, and changes nothing.
    Viewer {
        /// As whom.
        user: UserId,
        /// For which customer that user acts.
        customer: Option<CustomerId>,
        /// Who really looks.
        by: UserId,
        /// By which session of theirs.
        session: SessionId,
    },
    /// The product itself: jobs, demo data, the command line.
    System,
    /// Nobody yet: signing in, public pages.
    Anonymous,
}

impl Actor {
    /// Whether the actor may do what a scope names. People may do it for their own customer.
    pub fn may(&self, scope: Scope) -> bool {
        match self {
            Self::User { role, customer, .. } => match scope {
                Scope::UsageWrite | Scope::UsageRead | Scope::AiRun => customer.is_some(),
                Scope::CustomersWrite | Scope::TokensMint | Scope::Admin => *role >= Role::Admin,
            },
            Self::Key { scopes, .. } => scopes.contains(&scope) || scopes.contains(&Scope::Admin),
            Self::Browser { scopes, .. } => scopes.contains(&scope),
            Self::Viewer { customer, .. } => scope == Scope::UsageRead && customer.is_some(),
            Self::System => true,
            Self::Anonymous => false,
        }
    }

    /// Whether the actor has a permission, over the tenant or over their own customer.
    pub fn has(&self, permission: Permission) -> bool {
        match self {
            Self::User { role, customer, .. } => permission.of_person(*role, customer.is_some()),
            Self::Key { scopes, .. } => permission.of_key(scopes),
            Self::Browser { scopes, .. } => permission.of_browser(scopes),
            Self::Viewer { customer, .. } => permission.of_person(Role::User, customer.is_some()),
            Self::System => true,
            Self::Anonymous => false,
        }
    }

    /// Whether the actor stands as high as a role; keys with the admin scope stand as admins.
    pub fn stands(&self, at_least: Role) -> bool {
        match self {
            Self::User { role, .. } => *role >= at_least,
            Self::Key { scopes, .. } => at_least <= Role::Admin && scopes.contains(&Scope::Admin),
            Self::Browser { .. } | Self::Viewer { .. } | Self::Anonymous => false,
            Self::System => true,
        }
    }

    /// The customer that the actor acts for, unless it may name any.
    pub fn own_customer(&self) -> Option<&CustomerId> {
        match self {
            Self::User { customer, .. } | Self::Viewer { customer, .. } => customer.as_ref(),
            Self::Browser { customer, .. } => Some(customer),
            Self::Key { .. } | Self::System | Self::Anonymous => None,
        }
    }

    /// The person who really calls, if it is one who signed in.
    pub fn person(&self) -> Option<&UserId> {
        match self {
            Self::User { user, .. } => Some(user),
            Self::Viewer { by, .. } => Some(by),
            Self::Key { .. } | Self::Browser { .. } | Self::System | Self::Anonymous => None,
        }
    }

    /// The API key behind the actor: its own, or the one that minted its token.
    pub fn key(&self) -> Option<&KeyId> {
        match self {
            Self::Key { key, .. } => Some(key),
            Self::Browser { key, .. } => key.as_ref(),
            Self::User { .. } | Self::Viewer { .. } | Self::System | Self::Anonymous => None,
        }
    }

    /// The actor's name in audit entries, reservations and idempotency scopes.
    pub fn name(&self) -> String {
        match self {
            Self::User { user, .. } => format!("user:{user}"),
            Self::Key { key, .. } => format!("key:{key}"),
            Self::Browser { customer, .. } => format!("browser:{customer}"),
            Self::Viewer { by, .. } => format!("user:{by}"),
            Self::System => "system".to_owned(),
            Self::Anonymous => "anonymous".to_owned(),
        }
    }
}

/// The context of one call. `now` was read once, at the door.
#[derive(Clone)]
pub struct Cx {
    /// The product.
    pub app: Arc<App>,
    /// The tenant, which only a credential or the start of a request can name.
    pub tenant: Arc<Tenant>,
    /// Who calls.
    pub actor: Actor,
    /// Real time: for security and audit.
    pub now: Timestamp,
    /// The request's id, or the job's.
    pub request_id: Arc<str>,
    /// Where it came from: an address, or `cli`, `job`.
    pub origin: Arc<str>,
}

impl Cx {
    /// A call of the product itself.
    pub fn system(app: &Arc<App>, tenant: &Arc<Tenant>, request_id: &str) -> Self {
        Self {
            app: app.clone(),
            tenant: tenant.clone(),
            actor: Actor::System,
            now: now(),
            request_id: request_id.into(),
            origin: "system".into(),
        }
    }

    /// The tenant's own time, which a sandbox clock moves ahead.
    pub fn tenant_now(&self) -> Timestamp {
        self.now.plus_micros(self.tenant.catalog.clock_offset)
    }

    /// The context with the tenant as it is now in the database.
    pub fn with_tenant(mut self, tenant: Arc<Tenant>) -> Self {
        self.tenant = tenant;
        self
    }
}
