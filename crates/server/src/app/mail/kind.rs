//! Every kind of mail, with what it says.

use domain::id::TenantId;
use domain::money::{Currency, Money};
use domain::permission::Role;
use domain::revenue::Interval;
use domain::time::Timestamp;

/// A kind of mail. Its name is the template's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The address is proven.
    Welcome,
    /// Prove the address.
    VerifyAddress,
    /// Choose a new password.
    ResetPassword,
    /// Become a member.
    Invitation,
    /// The password was changed.
    PasswordChanged,
    /// Somebody registered with an address that has an account.
    AddressKnown,
    /// A member's role was given, changed or taken.
    AccessChanged,
    /// A quota comes near its limit.
    QuotaWarning,
    /// Nothing remains of a quota.
    QuotaReached,
    /// What was used in a month.
    MonthlyReport,
    /// A payment arrived.
    Receipt,
    /// A payment did not.
    PaymentFailed,
    /// Another plan holds.
    PlanChanged,
    /// A price will change.
    PriceChange,
    /// The subscription ends.
    Canceled,
}

/// Who may do without a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    /// Nobody: it is about who gets in.
    Security,
    /// Nobody: it is about money.
    Money,
    /// Whoever does not want it.
    Optional,
}

impl Category {
    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Security => "security",
            Self::Money => "money",
            Self::Optional => "optional",
        }
    }
}

impl Kind {
    /// Every kind, in the order of lists.
    pub const ALL: [Self; 15] = [
        Self::Welcome,
        Self::VerifyAddress,
        Self::ResetPassword,
        Self::Invitation,
        Self::PasswordChanged,
        Self::AddressKnown,
        Self::AccessChanged,
        Self::QuotaWarning,
        Self::QuotaReached,
        Self::MonthlyReport,
        Self::Receipt,
        Self::PaymentFailed,
        Self::PlanChanged,
        Self::PriceChange,
        Self::Canceled,
    ];

    /// Its name on the wire and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Welcome => "welcome",
            Self::VerifyAddress => "verify_address",
            Self::ResetPassword => "reset_password",
            Self::Invitation => "invitation",
            Self::PasswordChanged => "password_changed",
            Self::AddressKnown => "address_known",
            Self::AccessChanged => "access_changed",
            Self::QuotaWarning => "quota_warning",
            Self::QuotaReached => "quota_reached",
            Self::MonthlyReport => "monthly_report",
            Self::Receipt => "receipt",
            Self::PaymentFailed => "payment_failed",
            Self::PlanChanged => "plan_changed",
            Self::PriceChange => "price_change",
            Self::Canceled => "canceled",
        }
    }

    /// The kind of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Who may do without it.
    pub const fn category(self) -> Category {
        match self {
            Self::VerifyAddress
            | Self::ResetPassword
            | Self::Invitation
            | Self::PasswordChanged
            | Self::AddressKnown
            | Self::AccessChanged => Category::Security,
            Self::Receipt | Self::PaymentFailed | Self::PlanChanged | Self::PriceChange | Self::Canceled => {
                Category::Money
            }
            Self::Welcome | Self::QuotaWarning | Self::QuotaReached | Self::MonthlyReport => Category::Optional,
        }
    }

    /// Whether it is of no use without the link inside.
    pub const fn has_secret(self) -> bool {
        matches!(self, Self::VerifyAddress | Self::ResetPassword | Self::Invitation)
    }

    /// Whether it stands in the inbox as well.
    pub const fn is_in_inbox(self) -> bool {
        matches!(self, Self::QuotaWarning | Self::QuotaReached)
    }

    /// Whether it is written to somebody who may never have asked for it: such a mail carries no words of whoever
    /// caused it, or anybody could send theirs to anybody.
    pub const fn is_to_strangers(self) -> bool {
        matches!(self, Self::VerifyAddress | Self::AddressKnown)
    }
}

/// A link whose end is a secret, for one person and once.
#[derive(Debug, Clone)]
pub struct Link {
    /// The secret.
    pub secret: String,
    /// Until when it is good.
    pub until: Timestamp,
}

/// How a quota stands.
#[derive(Debug, Clone)]
pub struct QuotaNews {
    /// The feature, as people read it.
    pub feature: String,
    /// What one of it is.
    pub unit: Option<String>,
    /// What is used.
    pub used: i64,
    /// Of how much.
    pub limit: i64,
    /// Whole per cents.
    pub percentage: i64,
    /// When it starts again, if ever.
    pub resets_at: Option<Timestamp>,
}

/// What was used of a feature.
#[derive(Debug, Clone)]
pub struct FeatureUse {
    /// The feature, as people read it.
    pub feature: String,
    /// What was used.
    pub used: i64,
    /// Of how much; none for no limit.
    pub limit: Option<i64>,
}

/// A line of a receipt.
#[derive(Debug, Clone)]
pub struct ReceiptLine {
    /// What was paid for.
    pub text: String,
    /// How much.
    pub amount: Money,
}

/// What a mail says.
#[derive(Debug, Clone)]
pub enum Data {
    /// See [`Kind::Welcome`].
    Welcome,
    /// See [`Kind::VerifyAddress`].
    VerifyAddress { link: Link },
    /// See [`Kind::ResetPassword`].
    ResetPassword { link: Link },
    /// See [`Kind::Invitation`].
    Invitation { link: Link, role: Role },
    /// See [`Kind::PasswordChanged`].
    PasswordChanged { at: Timestamp },
    /// See [`Kind::AddressKnown`].
    AddressKnown,
    /// See [`Kind::AccessChanged`]: none when it was taken.
    AccessChanged { role: Option<Role> },
    /// See [`Kind::QuotaWarning`].
    QuotaWarning(QuotaNews),
    /// See [`Kind::QuotaReached`].
    QuotaReached(QuotaNews),
    /// See [`Kind::MonthlyReport`]: any instant of the month.
    MonthlyReport { month: Timestamp, features: Vec<FeatureUse> },
    /// See [`Kind::Receipt`].
    Receipt { number: String, at: Timestamp, lines: Vec<ReceiptLine>, tax: Option<Money>, total: Money },
    /// See [`Kind::PaymentFailed`].
    PaymentFailed { plan: String, amount: Money, again_at: Option<Timestamp>, access_until: Option<Timestamp> },
    /// See [`Kind::PlanChanged`].
    PlanChanged { from: Option<String>, to: String, at: Timestamp },
    /// See [`Kind::PriceChange`].
    PriceChange { plan: String, interval: Interval, from: Money, to: Money, at: Timestamp },
    /// See [`Kind::Canceled`].
    Canceled { plan: String, access_until: Option<Timestamp> },
}

impl Data {
    /// Its kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Welcome => Kind::Welcome,
            Self::VerifyAddress { .. } => Kind::VerifyAddress,
            Self::ResetPassword { .. } => Kind::ResetPassword,
            Self::Invitation { .. } => Kind::Invitation,
            Self::PasswordChanged { .. } => Kind::PasswordChanged,
            Self::AddressKnown => Kind::AddressKnown,
            Self::AccessChanged { .. } => Kind::AccessChanged,
            Self::QuotaWarning(_) => Kind::QuotaWarning,
            Self::QuotaReached(_) => Kind::QuotaReached,
            Self::MonthlyReport { .. } => Kind::MonthlyReport,
            Self::Receipt { .. } => Kind::Receipt,
            Self::PaymentFailed { .. } => Kind::PaymentFailed,
            Self::PlanChanged { .. } => Kind::PlanChanged,
            Self::PriceChange { .. } => Kind::PriceChange,
            Self::Canceled { .. } => Kind::Canceled,
        }
    }

    /// The secret link inside, if there is one.
    pub const fn link(&self) -> Option<&Link> {
        match self {
            Self::VerifyAddress { link } | Self::ResetPassword { link } | Self::Invitation { link, .. } => Some(link),
            Self::Welcome
            | Self::PasswordChanged { .. }
            | Self::AddressKnown
            | Self::AccessChanged { .. }
            | Self::QuotaWarning(_)
            | Self::QuotaReached(_)
            | Self::MonthlyReport { .. }
            | Self::Receipt { .. }
            | Self::PaymentFailed { .. }
            | Self::PlanChanged { .. }
            | Self::PriceChange { .. }
            | Self::Canceled { .. } => None,
        }
    }

    /// An example of a kind, with everything in it that there can be: previews show it, and a template may use what it
    /// has.
    pub fn sample(kind: Kind, currency: Currency, now: Timestamp) -> Self {
        let link = Link { secret: String::new(), until: now.plus_seconds(3_600) };
        let money = |minor| Money::new(minor, currency);
        let later = now.plus_seconds(7 * 86_400);
        let plan = || "Professional".to_owned();
        let quota = |used| QuotaNews {
            feature: "Invoice OCR & Analysis".to_owned(),
            unit: None,
            used,
            limit: 100,
            percentage: used,
            resets_at: Some(later),
        };
        let used = |feature: &str, used, limit| FeatureUse { feature: feature.to_owned(), used, limit };
        match kind {
            Kind::Welcome => Self::Welcome,
            Kind::VerifyAddress => Self::VerifyAddress { link },
            Kind::ResetPassword => Self::ResetPassword { link },
            Kind::Invitation => Self::Invitation { link, role: Role::Finance },
            Kind::PasswordChanged => Self::PasswordChanged { at: now },
            Kind::AddressKnown => Self::AddressKnown,
            Kind::AccessChanged => Self::AccessChanged { role: Some(Role::Support) },
            Kind::QuotaWarning => Self::QuotaWarning(quota(80)),
            Kind::QuotaReached => Self::QuotaReached(quota(100)),
            Kind::MonthlyReport => Self::MonthlyReport {
                month: now,
                features: vec![
                    used("Invoice OCR & Analysis", 87, Some(100)),
                    used("Risk Assessment", 42, Some(50)),
                    used("Contract Review", 12, None),
                ],
            },
            Kind::Receipt => Self::Receipt {
                number: "2026-0042".to_owned(),
                at: now,
                lines: vec![ReceiptLine { text: plan(), amount: money(79_900) }],
                tax: Some(money(0)),
                total: money(79_900),
            },
            Kind::PaymentFailed => Self::PaymentFailed {
                plan: plan(),
                amount: money(79_900),
                again_at: Some(later),
                access_until: Some(later),
            },
            Kind::PlanChanged => Self::PlanChanged { from: Some("Starter".to_owned()), to: plan(), at: now },
            Kind::PriceChange => Self::PriceChange {
                plan: plan(),
                interval: Interval::Month,
                from: money(79_900),
                to: money(84_900),
                at: later,
            },
            Kind::Canceled => Self::Canceled { plan: plan(), access_until: Some(later) },
        }
    }
}

/// Where the secret of a mail's link is sealed.
pub fn link_place(email: &str) -> String {
    format!("email/{email}/link")
}

/// Where a tenant's mail password is sealed.
pub fn password_place(tenant: &TenantId) -> String {
    format!("mail-account/{tenant}")
}
