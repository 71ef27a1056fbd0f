//! What models cost. A price holds from an instant on; what was in force is never changed, since costs were computed with
//! it.

use domain::time::Timestamp;
use serde_json::{Value, json};
use store::db::Tx;
use store::model_price::ModelPriceRow;

use super::audit;
use super::component::edit::current;
use crate::cx::Cx;
use crate::error::{Code, Error, Result};
use crate::limits::TEXT_CHARS_MAX;

/// Prices of a tenant.
pub const PRICES_MAX: usize = 2_000;
/// Micro-units for a million tokens: a thousand units of currency for each token.
const RATE_MAX: i64 = 1_000_000_000_000_000;
const PROMPT_TOKENS_MAX: i64 = 1_000_000_000;

/// A decimal number of up to six places as millionths; none when it is anything else, or negative.
pub fn micros(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let fraction = fraction.trim_end_matches('0');
    if whole.is_empty() || text.ends_with('.') || !digits(whole) || !digits(fraction) || fraction.len() > 6 {
        return None;
    }
    format!("{whole}{fraction:0<6}").parse().ok()
}

/// Millionths as a decimal number, with at least two places.
pub fn decimal(micros: i64) -> String {
    let (whole, fraction) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
    let fraction = format!("{fraction:06}");
    let short = fraction.trim_end_matches('0');
    let sign = if micros < 0 { "-" } else { "" };
    format!("{sign}{whole}.{short:0<2}")
}

/// Prices of all models: the newest of each first.
pub async fn list(cx: &Cx) -> Result<Vec<ModelPriceRow>> {
    Ok(store::model_price::list(&cx.app.db, cx.tenant.id()).await?)
}

/// Sets a price from an instant on: now, when none is named. One that is not in force yet is replaced.
pub async fn put(cx: &Cx, mut row: ModelPriceRow, from: Option<Timestamp>) -> Result<ModelPriceRow> {
    let cx = &current(cx).await?;
    let now = cx.tenant_now();
    let from = from.unwrap_or(now);
    row.effective_from = from.as_micros();
    row.model = row.model.trim().to_owned();
    check(&row)?;
    if from < now {
        let detail = "name an instant to come, or leave it out for now: what was charged stays as it was";
        return Err(Error::field("/effectiveFrom", detail));
    }
    let known = &cx.tenant.model_prices;
    let same_time = |price: &&ModelPriceRow| price.model == row.model && price.effective_from == row.effective_from;
    if row.prompt_tokens_over > 0 && !known.iter().filter(same_time).any(|price| price.prompt_tokens_over == 0) {
        let detail =
            "set the price of short prompts (0) from the same effectiveFrom first: a price has all its bands at once";
        return Err(Error::field("/promptTokensOver", detail));
    }
    if known.len() >= PRICES_MAX {
        return Err(Error::field("/model", format!("there are {PRICES_MAX} prices already")));
    }
    let before = known.iter().filter(same_time).find(|price| price.prompt_tokens_over == row.prompt_tokens_over);
    let mut tx = cx.app.db.begin().await?;
    write(&mut tx, cx, (before, &row)).await?;
    tx.commit().await?;
    Ok(row)
}

/// Writes a price that is new, or another one from its instant on.
pub async fn write(tx: &mut Tx, cx: &Cx, (before, row): (Option<&ModelPriceRow>, &ModelPriceRow)) -> Result<()> {
    store::model_price::put(tx, cx.tenant.id(), row).await?;
    store::tenant::bump_epoch(tx, cx.tenant.id(), cx.now).await?;
    let (before, after) = (before.map(state), Some(state(row)));
    audit::write(tx, cx, audit::Change { action: "model_price.set", target: &row.model, before, after }).await
}

/// Checks a price in itself.
pub fn check(row: &ModelPriceRow) -> Result<()> {
    let chars = row.model.chars().count();
    if chars == 0 || chars > TEXT_CHARS_MAX || row.model.chars().any(char::is_control) {
        return Err(Error::field("/model", format!("use 1 to {TEXT_CHARS_MAX} characters without line breaks")));
    }
    if !(0..=PROMPT_TOKENS_MAX).contains(&row.prompt_tokens_over) {
        let detail = format!("use a whole number from 0 to {PROMPT_TOKENS_MAX}");
        return Err(Error::field("/promptTokensOver", detail));
    }
    for (name, rate) in rates(row) {
        if !(0..=RATE_MAX).contains(&rate) {
            return Err(Error::field(format!("/{name}"), "use a smaller number"));
        }
    }
    Ok(())
}

/// The rates of a price by their names.
pub fn rates(row: &ModelPriceRow) -> [(&'static str, i64); 5] {
    [
        ("input", row.input),
        ("output", row.output),
        ("cacheWrite5m", row.cache_write_5m),
        ("cacheWrite1h", row.cache_write_1h),
        ("cacheRead", row.cache_read),
    ]
}

fn state(row: &ModelPriceRow) -> Value {
    let mut state = json!({
        "effectiveFrom": Timestamp::from_micros(row.effective_from),
        "promptTokensOver": row.prompt_tokens_over,
    });
    for (name, rate) in rates(row) {
        if let Some(members) = state.as_object_mut() {
            members.insert(name.to_owned(), decimal(rate).into());
        }
    }
    state
}

/// Takes a price back that is not in force yet.
pub async fn remove(cx: &Cx, model: &str, from: Timestamp, prompt_tokens_over: i64) -> Result<()> {
    let cx = &current(cx).await?;
    let wanted = |price: &&ModelPriceRow| {
        price.model == model
            && price.effective_from == from.as_micros()
            && price.prompt_tokens_over == prompt_tokens_over
    };
    let row = cx.tenant.model_prices.iter().find(wanted);
    let row = row.ok_or_else(|| {
        Error::new(Code::NotFound, "GET /api/admin/model-prices lists the prices, each with its effectiveFrom.")
    })?;
    if from <= cx.tenant_now() {
        return Err(Error::new(Code::InUse, "The price is in force, or was; set another from now on instead."));
    }
    let others = cx.tenant.model_prices.iter().filter(|price| price.model == model);
    let mut bands = others.filter(|price| price.effective_from == row.effective_from && price.prompt_tokens_over > 0);
    if prompt_tokens_over == 0 && bands.next().is_some() {
        return Err(Error::new(Code::InUse, "Take the bands of longer prompts from the same instant back first."));
    }
    let mut tx = cx.app.db.begin().await?;
    store::model_price::remove(&mut tx, cx.tenant.id(), (model, from, prompt_tokens_over)).await?;
    store::tenant::bump_epoch(&mut tx, cx.tenant.id(), cx.now).await?;
    let change = audit::Change { action: "model_price.removed", target: model, before: Some(state(row)), after: None };
    audit::write(&mut tx, cx, change).await?;
    Ok(tx.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_written_exactly() {
        for (text, rate, written) in [
            ("0.125", 125_000, "0.125"),
            ("8.00", 8_000_000, "8.00"),
            ("40", 40_000_000, "40.00"),
            ("0.000001", 1, "0.000001"),
            ("0.5000000", 500_000, "0.50"),
        ] {
            assert_eq!(micros(text), Some(rate), "{text}");
            assert_eq!(decimal(rate), written);
        }
        for bad in ["0.1234567", "x", "", ".5", "1.", "-1", "1e3", "+1", "1.2.3", "99999999999999"] {
            assert_eq!(micros(bad), None, "{bad}");
        }
    }
}
