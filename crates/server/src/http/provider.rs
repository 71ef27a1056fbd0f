//! Payment providers as an admin sees them: what each knows of our prices, and another try where it refused.

use axum::http::StatusCode;
use domain::id::PriceId;
use domain::time::Timestamp;
use serde::Serialize;
use store::provider::ProviderPriceRow;
use utoipa::ToSchema;

use super::auth::{Authed, CatalogRead, CatalogWrite};
use super::params::Path;
use super::problem::{Failed, Problem};
use super::wire::Json;
use crate::app::provider;

/// A payment provider of the tenant.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProviderBody {
    /// Its name in `POST /api/checkout`.
    #[schema(example = "sandbox")]
    name: String,
    /// Whether no money moves.
    test: bool,
}

/// The payment providers, the preferred one first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProvidersBody {
    data: Vec<ProviderBody>,
    /// Always null: there is one page.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

/// The tenant's payment providers, the preferred one first.
#[utoipa::path(get, path = "/api/admin/providers", operation_id = "listProviders", tag = "admin",
    responses((status = 200, body = ProvidersBody), (status = 403, body = Problem)))]
pub async fn list(cx: Authed<CatalogRead>) -> Json<ProvidersBody> {
    let body = |name: &str| ProviderBody { name: name.to_owned(), test: name == crate::app::sandbox::NAME };
    let data = provider::of_tenant(&cx).iter().map(|provider| body(provider.name())).collect();
    Json(ProvidersBody { data, next_cursor: None })
}

/// What a provider is told of a price version.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PriceSyncState {
    /// It is to be made there.
    Pending,
    /// It is there, and can be bought.
    Synced,
    /// It is to end there, once open approvals have ended.
    Retiring,
    /// Nobody new can buy it there.
    Retired,
    /// The provider refused it.
    Failed,
}

/// A price version at a provider.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceSyncBody {
    #[schema(example = "sandbox")]
    provider: String,
    #[schema(example = "pri_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    price: String,
    state: PriceSyncState,
    /// The provider's id, once it is known.
    #[schema(required, example = "sbp_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    remote_id: Option<String>,
    #[schema(example = 1)]
    attempts: i64,
    /// What went wrong last.
    #[schema(required, example = json!(null))]
    last_error: Option<String>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    updated_at: Timestamp,
}

impl From<ProviderPriceRow> for PriceSyncBody {
    fn from(row: ProviderPriceRow) -> Self {
        let state = match row.state.as_str() {
            "synced" => PriceSyncState::Synced,
            "retiring" => PriceSyncState::Retiring,
            "retired" => PriceSyncState::Retired,
            "failed" => PriceSyncState::Failed,
            _ => PriceSyncState::Pending,
        };
        Self {
            provider: row.provider,
            price: row.price_id,
            state,
            remote_id: row.remote_id,
            attempts: row.attempts,
            last_error: row.last_error,
            updated_at: Timestamp::from_micros(row.updated_at),
        }
    }
}

/// What the providers know of a plan's prices.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanSyncBody {
    data: Vec<PriceSyncBody>,
    /// Always null: there is one page.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

/// What each payment provider knows of a plan's price versions, the newest first.
#[utoipa::path(get, path = "/api/admin/plans/{slug}/sync", operation_id = "getPlanSync", tag = "catalog", params(("slug" = String, Path, example = "starter")),
    responses((status = 200, body = PlanSyncBody), (status = 404, body = Problem)))]
pub async fn of_plan(cx: Authed<CatalogRead>, Path(slug): Path<String>) -> Result<Json<PlanSyncBody>, Failed> {
    let data = provider::of_plan(&cx, &slug).await?.into_iter().map(PriceSyncBody::from).collect();
    Ok(Json(PlanSyncBody { data, next_cursor: None }))
}

/// Try a price again that its provider refused.
#[utoipa::path(post, path = "/api/admin/providers/{provider}/prices/{price}/retry", operation_id = "retryPriceSync", tag = "catalog",
    params(("provider" = String, Path, example = "sandbox"), ("price" = String, Path, example = "pri_01jz3k5q8e4x9m2v7c1r6t0b5n")),
    responses((status = 204), (status = 404, body = Problem)))]
pub async fn retry(
    cx: Authed<CatalogWrite>,
    Path((provider, price)): Path<(String, String)>,
) -> Result<StatusCode, Failed> {
    provider::retry(&cx, &provider, &PriceId::stored(price)).await?;
    Ok(StatusCode::NO_CONTENT)
}
