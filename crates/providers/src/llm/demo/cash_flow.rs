//! `cash_flow_forecast`: averages and last year's months, in exact amounts.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::decimal::Decimal;
use super::text_of;

const DIGITS: u32 = 2;
const MONTHS_DEFAULT: i64 = 6;
const MONTHS_MAX: i64 = 24;
/// How many of the last months an average takes.
const AVERAGE_MONTHS: usize = 6;

/// Months since the year 0.
type Month = i64;

/// What came in and went out.
#[derive(Clone, Copy)]
struct Flow {
    inflow: Decimal,
    outflow: Decimal,
}

/// One forecast month.
struct Step {
    month: Month,
    flow: Flow,
    planned: Decimal,
    net: Decimal,
    closing: Decimal,
}

/// The answer of `cash_flow_forecast/forecast`.
pub(super) fn forecast(input: &Value) -> Value {
    let history = history(input);
    let opening = amount(input, "openingBalance");
    let minimum = amount(input, "minimumBalance");
    let count = input.get("months").and_then(Value::as_i64).unwrap_or(MONTHS_DEFAULT).clamp(1, MONTHS_MAX);
    let steps = steps(&history, &planned(input), opening, count);
    let short: Vec<String> = steps.iter().filter(|step| step.closing < minimum).map(|step| name(step.month)).collect();
    let lowest = steps.iter().min_by_key(|step| step.closing);
    let money = |amount: Decimal| amount.rounded(DIGITS).text(DIGITS);
    let months: Vec<Value> = steps
        .iter()
        .map(|step| {
            json!({
                "month": name(step.month),
                "inflow": money(step.flow.inflow),
                "outflow": money(step.flow.outflow),
                "planned": money(step.planned),
                "net": money(step.net),
                "closingBalance": money(step.closing),
            })
        })
        .collect();
    let currency = input.get("currency").and_then(Value::as_str);
    let last = steps.last().map_or(opening, |step| step.closing);
    let low =
        lowest.map_or_else(|| json!(null), |step| json!({ "month": name(step.month), "balance": money(step.closing) }));
    json!({
        "currency": currency,
        "openingBalance": money(opening),
        "months": months,
        "lowestBalance": low,
        "shortfallMonths": short,
        "method": method(&history),
        "assumptions": [
            "Inflow and outflow go on as in the history.",
            "Planned payments come in their month and in full.",
            "Nothing else changes: no growth, no inflation, no new customers.",
        ],
        "warnings": warnings(input, &history, &steps, &short),
        "summary": format!(
            "The balance goes from {} to {}{} in {count} months.{}",
            money(opening),
            money(last),
            currency.map(|code| format!(" {code}")).unwrap_or_default(),
            match short.first() {
                Some(month) => format!(" It is short for the first time in {month}."),
                None => " It is never short.".to_owned(),
            }
        ),
    })
}

fn steps(
    history: &BTreeMap<Month, Flow>,
    planned: &BTreeMap<Month, Decimal>,
    opening: Decimal,
    count: i64,
) -> Vec<Step> {
    let last = history.keys().next_back().copied().unwrap_or_default();
    let mut balance = opening;
    (1..=count)
        .map(|ahead| {
            let month = last.saturating_add(ahead);
            let flow = expected(history, month);
            let planned = planned.get(&month).copied().unwrap_or(Decimal::ZERO);
            let net = flow.inflow.minus(flow.outflow).plus(planned);
            balance = balance.plus(net);
            Step { month, flow, planned, net, closing: balance }
        })
        .collect()
}

/// With a year of history half the same month a year before and half the average, else the average.
fn expected(history: &BTreeMap<Month, Flow>, month: Month) -> Flow {
    let average = average(history);
    let years_back = |years: i64| history.get(&month.saturating_sub(years.saturating_mul(12)));
    let before = (1..=2).find_map(years_back).filter(|_| seasonal(history));
    match before {
        Some(before) => Flow {
            inflow: before.inflow.plus(average.inflow).divided(2, DIGITS),
            outflow: before.outflow.plus(average.outflow).divided(2, DIGITS),
        },
        None => average,
    }
}

fn seasonal(history: &BTreeMap<Month, Flow>) -> bool {
    history.len() >= 12
}

fn average(history: &BTreeMap<Month, Flow>) -> Flow {
    let taken: Vec<&Flow> = history.values().rev().take(AVERAGE_MONTHS).collect();
    let count = i64::try_from(taken.len()).unwrap_or(1);
    let sum = |of: fn(&Flow) -> Decimal| {
        taken.iter().fold(Decimal::ZERO, |sum, flow| sum.plus(of(flow))).divided(count, DIGITS)
    };
    Flow { inflow: sum(|flow| flow.inflow), outflow: sum(|flow| flow.outflow) }
}

fn method(history: &BTreeMap<Month, Flow>) -> String {
    let months: Vec<String> = history.keys().rev().take(AVERAGE_MONTHS).map(|month| name(*month)).collect();
    let (first, last) = (months.last().cloned().unwrap_or_default(), months.first().cloned().unwrap_or_default());
    let count = months.len();
    let average = format!("the average of the last {count} months ({first} to {last})");
    if seasonal(history) {
        format!("Half of each month is the same month of the year before, half {average}.")
    } else {
        format!("Each month takes {average}.")
    }
}

fn warnings(input: &Value, history: &BTreeMap<Month, Flow>, steps: &[Step], short: &[String]) -> Vec<String> {
    let mut warnings = Vec::new();
    if history.len() < 3 {
        warnings.push("The history is shorter than three months, so the forecast is weak.".to_owned());
    }
    let (first, last) =
        (history.keys().next().copied().unwrap_or_default(), history.keys().next_back().copied().unwrap_or_default());
    let span = usize::try_from(last.saturating_sub(first).saturating_add(1)).unwrap_or_default();
    if history.len() < span {
        warnings.push("The history has a gap; missing months were left out.".to_owned());
    }
    let given = input.get("history").and_then(Value::as_array).map_or(0, Vec::len);
    if given > history.len() {
        warnings.push("A month stands twice in the history; its amounts were added up.".to_owned());
    }
    let outside = planned(input).keys().filter(|month| !steps.iter().any(|step| step.month == **month)).count();
    if outside > 0 {
        warnings.push(format!("{outside} planned month(s) lie outside of the forecast and were left out."));
    }
    if !short.is_empty() {
        warnings.push(format!("The balance is below the minimum in: {}.", short.join(", ")));
    }
    warnings
}

fn history(input: &Value) -> BTreeMap<Month, Flow> {
    let mut history: BTreeMap<Month, Flow> = BTreeMap::new();
    for entry in input.get("history").and_then(Value::as_array).into_iter().flatten() {
        let Some(month) = number(text_of(entry, "month")) else { continue };
        let flow = history.entry(month).or_insert(Flow { inflow: Decimal::ZERO, outflow: Decimal::ZERO });
        flow.inflow = flow.inflow.plus(amount(entry, "inflow"));
        flow.outflow = flow.outflow.plus(amount(entry, "outflow"));
    }
    history
}

fn planned(input: &Value) -> BTreeMap<Month, Decimal> {
    let mut planned: BTreeMap<Month, Decimal> = BTreeMap::new();
    for entry in input.get("planned").and_then(Value::as_array).into_iter().flatten() {
        let Some(month) = number(text_of(entry, "month")) else { continue };
        let sum = planned.entry(month).or_insert(Decimal::ZERO);
        *sum = sum.plus(amount(entry, "amount"));
    }
    planned
}

fn amount(value: &Value, field: &str) -> Decimal {
    value.get(field).and_then(Decimal::from_json).unwrap_or(Decimal::ZERO)
}

fn number(month: &str) -> Option<Month> {
    let (year, month) = month.split_once('-')?;
    let (year, month): (i64, i64) = (year.parse().ok()?, month.parse().ok()?);
    (1..=12).contains(&month).then(|| year.saturating_mul(12).saturating_add(month - 1))
}

fn name(month: Month) -> String {
    format!("{:04}-{:02}", month.div_euclid(12), month.rem_euclid(12).saturating_add(1))
}
