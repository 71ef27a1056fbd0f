//! The mail server that a tenant sends through, and as whom.

use domain::id::TenantId;
use sqlx::FromRow;

use crate::db::{On, Tx, sql};
use crate::error::Result;

/// A tenant's account.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct AccountRow {
    /// The server; none to send through the platform's.
    pub host: Option<String>,
    /// Its port; none for the usual one.
    pub port: Option<i64>,
    /// `tls`, `starttls` or `none`.
    pub security: String,
    /// Who signs in.
    pub username: Option<String>,
    /// With what, sealed.
    pub password_sealed: Option<String>,
    /// A certificate that is trusted besides the public ones.
    pub ca_pem: Option<String>,
    /// From which address.
    pub from_address: Option<String>,
    /// Under which name.
    pub from_name: Option<String>,
    /// Where answers go.
    pub reply_to: Option<String>,
    /// Grows with every change.
    pub revision: i64,
}

/// A tenant's account, if it has one.
pub async fn find(on: impl Into<On<'_>>, tenant: &TenantId) -> Result<Option<AccountRow>> {
    sql!("SELECT host, port, security, username, password_sealed, ca_pem, from_address, from_name, reply_to, revision FROM mail_account WHERE tenant_id = $1")
        .bind(tenant)
        .find(on)
        .await
}

/// Adds or replaces a tenant's account.
pub async fn put(tx: &mut Tx, tenant: &TenantId, row: &AccountRow) -> Result<()> {
    sql!("INSERT INTO mail_account (tenant_id, host, port, security, username, password_sealed, ca_pem, from_address, from_name, reply_to, revision) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (tenant_id) DO UPDATE SET host = excluded.host, port = excluded.port, security = excluded.security, username = excluded.username, password_sealed = excluded.password_sealed, ca_pem = excluded.ca_pem, from_address = excluded.from_address, from_name = excluded.from_name, reply_to = excluded.reply_to, revision = excluded.revision")
        .bind(tenant)
        .bind(row.host.clone())
        .bind(row.port)
        .bind(&row.security)
        .bind(row.username.clone())
        .bind(row.password_sealed.clone())
        .bind(row.ca_pem.clone())
        .bind(row.from_address.clone())
        .bind(row.from_name.clone())
        .bind(row.reply_to.clone())
        .bind(row.revision)
        .execute(tx)
        .await
        .map(|_| ())
}
