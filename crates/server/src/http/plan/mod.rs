//! The public pricing page's data.

pub mod admin;

use std::sync::Arc;

use super::wire::Json;
use domain::money::Money;
use domain::revenue::Interval;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::auth::Anyone;
use super::customer::{PlanBody, plan_body};
use super::problem::{Failed, Problem};
use crate::app::tenant::Tenant;

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

/// The plans that are sold.
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
}

/// The plans of the tenant, with prices and what a year saves.
#[utoipa::path(get, path = "/api/plans", operation_id = "listPlans", security(()), tag = "subscription", responses((status = 200, body = PlansBody), (status = 404, body = Problem)))]
pub async fn list(Anyone(cx): Anyone) -> Result<Json<PlansBody>, Failed> {
    let tenant = cx.app.tenants.fresh(&cx.app.db, &cx.app.master, cx.tenant.id()).await?;
    let data = tenant.catalog.public_plans().into_iter().map(|plan| priced(&tenant, plan)).collect();
    Ok(Json(PlansBody { currency: tenant.row.currency.clone(), data, next_cursor: None }))
}

fn priced(tenant: &Arc<Tenant>, plan: &domain::catalog::Plan) -> PricedPlan {
    let price = |interval| tenant.price(plan, interval).map(|price| price.amount);
    let (month, year) = (price(Interval::Month), price(Interval::Year));
    let saving = month.zip(year).and_then(|(month, year)| {
        let minor = month.minor.checked_mul(12)?.checked_sub(year.minor)?;
        (minor > 0).then_some(Money::new(minor, year.currency))
    });
    PricedPlan {
        plan: plan_body(&tenant.catalog, plan),
        base_price: month.map(Amount),
        yearly_price: year.map(Amount),
        yearly_saving: saving.map(Amount),
        yearly_saving_months: saving.zip(month).and_then(|(saving, month)| saving.minor.checked_div(month.minor)),
        contact_sales: plan.contact_sales,
    }
}
