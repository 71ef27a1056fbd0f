//! The public pricing page's data.

pub mod admin;
pub mod draft;

use axum::http::{HeaderValue, header};
use axum::response::Response;
use domain::catalog::Plan;
use domain::money::Money;
use domain::revenue::Interval;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::auth::Anyone;
use super::customer::{PlanBody, plan_body};
use super::etag::{IfNoneMatch, Tagged};
use super::names::IntervalName;
use super::problem::{Failed, Problem};
use crate::app::tenant::{Price, Tenant};
use crate::app::{plan, seal};
use crate::cx::Actor;
use crate::error::Error;

/// An exact decimal number with the currency's own digits.
#[derive(Debug, Clone, Copy)]
pub struct Amount(pub Money);

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The digits go out as they are, so that no binary float comes between.
        let digits = RawValue::from_string(self.0.to_string()).map_err(serde::ser::Error::custom)?;
        digits.serialize(serializer)
    }
}

/// The plans that are sold to everybody.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlansBody {
    #[schema(example = "USD")]
    currency: String,
    data: Vec<PricedPlan>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

/// A plan with its prices.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PricedPlan {
    #[serde(flatten)]
    plan: PlanBody,
    /// The monthly price; null when it is agreed with sales.
    #[schema(value_type = Option<f64>, required, example = 299.00)]
    base_price: Option<Amount>,
    /// The yearly price.
    #[schema(value_type = Option<f64>, required, example = 2990.00)]
    yearly_price: Option<Amount>,
    /// What a year saves against twelve months.
    #[schema(value_type = Option<f64>, required, example = 598.00)]
    yearly_saving: Option<Amount>,
    /// The saving in whole months, rounded down.
    #[schema(required, example = 2)]
    yearly_saving_months: Option<i64>,
    contact_sales: bool,
    #[schema(example = "For teams that begin.")]
    description: String,
    /// Days without payment at the beginning.
    #[schema(example = 14)]
    trial_days: i64,
    /// What new customers pay, in every interval and currency.
    prices: Vec<PublicPriceBody>,
    /// Whether it is the caller's own plan.
    current: bool,
}

/// A public price.
#[derive(Debug, Serialize, ToSchema)]
pub struct PublicPriceBody {
    #[schema(value_type = IntervalName)]
    interval: String,
    #[schema(example = "USD")]
    currency: String,
    #[schema(value_type = f64, example = 299.00)]
    amount: Amount,
}

/// The plans of the tenant, with prices and what a year saves. For a signed-in customer their own plan is marked.
#[utoipa::path(get, path = "/api/plans", operation_id = "listPlans", security(()), tag = "subscription", responses((status = 200, body = PlansBody), (status = 304), (status = 404, body = Problem)))]
pub async fn list(Anyone(cx): Anyone, known: IfNoneMatch) -> Result<Response, Failed> {
    let cx = plan::fresh(&cx).await?;
    let own = match cx.actor.own_customer() {
        Some(customer) => crate::app::customer::plan(&cx, customer).await?,
        None => None,
    };
    let tenant = &cx.tenant;
    let data = tenant.catalog.public_plans().into_iter().map(|plan| priced(tenant, plan, own.as_deref())).collect();
    let body = PlansBody { currency: tenant.row.currency.clone(), data, next_cursor: None };
    let tag = seal::hash(&serde_json::to_string(&body).map_err(Error::internal)?);
    let mut response = known.answer(Tagged(tag, body));
    // Kept by whoever likes, and asked about each time, so that a new price shows at once.
    let kept = if cx.actor == Actor::Anonymous { "public, no-cache" } else { "private, no-cache" };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    headers.append(header::VARY, HeaderValue::from_static("authorization, cookie, x-tenant"));
    Ok(response)
}

impl From<&Price> for PublicPriceBody {
    fn from(price: &Price) -> Self {
        let currency = price.amount.currency.code().to_owned();
        Self { interval: price.interval.clone(), currency, amount: Amount(price.amount) }
    }
}

fn priced(tenant: &Tenant, plan: &Plan, own: Option<&str>) -> PricedPlan {
    let price = |interval| tenant.price(plan, interval).map(|price| price.amount);
    let (month, year) = (price(Interval::Month), price(Interval::Year));
    let saving = month.zip(year).and_then(|(month, year)| {
        let minor = month.minor.checked_mul(12)?.checked_sub(year.minor)?;
        (minor > 0).then_some(Money::new(minor, year.currency))
    });
    PricedPlan {
        plan: plan_body(&tenant.catalog, plan, &plan.features),
        base_price: month.map(Amount),
        yearly_price: year.map(Amount),
        yearly_saving: saving.map(Amount),
        yearly_saving_months: saving.zip(month).and_then(|(saving, month)| saving.minor.checked_div(month.minor)),
        contact_sales: plan.contact_sales,
        description: plan.description.to_string(),
        trial_days: plan.trial_days,
        prices: tenant.prices_of(plan).map(PublicPriceBody::from).collect(),
        current: own == Some(&*plan.slug),
    }
}
