//! When a customer's quotas run out, at the pace of the running period.

use domain::forecast::{Forecast, forecast};
use domain::quota::Quota;

use super::usage;
use crate::cx::Cx;
use crate::error::Result;

/// What each quota of a customer comes to. Who may see every customer may name one; others look at their own.
pub async fn of_customer(cx: &Cx, named: Option<&str>) -> Result<Vec<(Quota, Forecast)>> {
    let customer = usage::reading_of(cx, named)?;
    let quotas = usage::quotas(cx, &customer).await?;
    let account = cx.app.customers.get(cx, &customer).await?;
    let look = |quota: Quota| {
        let ahead = forecast(&quota, account.customer.anchor, cx.tenant_now());
        (quota, ahead)
    };
    Ok(quotas.into_iter().map(look).collect())
}
