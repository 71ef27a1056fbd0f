//! What a plan grants of a feature, as somebody edits it: each member is checked against the feature's kind.

use domain::catalog::{Feature, FeatureKind, LimitType, PlanFeature, Thresholds};
use domain::time::Reset;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::patch::Patch;
use crate::error::{Error, Result};

/// Units that a plan grants at most; what goes beyond is unlimited.
const LIMIT_MAX: i64 = 1_000_000_000_000_000;
const FAIL_OPEN_MAX: i64 = 1_000_000;
/// Decimals of an overage price.
const MICRO_PLACES: usize = 6;
const OVERAGE_MICROS_MAX: i64 = 1_000_000_000_000;

/// What changes of a grant; what is absent stays, and has its default in a new one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrantEdit {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Null is unlimited.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub limit_value: Patch<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_type: Option<LimitType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset: Option<Reset>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_open: Option<i64>,
    /// In the tenant's currency, as somebody wrote it.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub overage_price: Patch<String>,
    /// Null carries nothing over.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub rollover_cap: Patch<i64>,
}

/// What an edit makes of a grant; a new one warns at the tenant's usual thresholds unless it names its own. `pointer` is
/// where the edit stands in the body.
pub fn edited(
    feature: &Feature,
    (before, usual): (Option<&PlanFeature>, Thresholds),
    edit: &GrantEdit,
    pointer: &str,
) -> Result<PlanFeature> {
    if before.is_none() && feature.archived {
        let detail = "the feature is archived; bring it back first, or choose another";
        return Err(Error::field(pointer, detail));
    }
    let wrong = |member: &str, detail: String| Error::field(format!("{pointer}/{member}"), detail);
    let (limit, limit_type) = limit(feature, before, edit).map_err(|(member, detail)| wrong(member, detail))?;
    let thresholds = thresholds(before.map_or(usual, |before| before.thresholds), edit)
        .map_err(|(member, detail)| wrong(member, detail))?;
    let never = matches!(feature.kind, FeatureKind::Gauge | FeatureKind::Flag);
    let reset = match edit.reset {
        Some(reset) if never && reset != Reset::Never => {
            return Err(wrong(
                "reset",
                format!("use never: a {} is a state, which does not start again", kind(feature)),
            ));
        }
        Some(reset) => reset,
        None if never => Reset::Never,
        None => before.map_or(Reset::BillingMonth, |before| before.reset),
    };
    let fail_open = edit.fail_open.unwrap_or(before.map_or(0, |before| before.fail_open));
    if !(0..=FAIL_OPEN_MAX).contains(&fail_open) {
        return Err(wrong("failOpen", format!("use a whole number from 0 to {FAIL_OPEN_MAX}")));
    }
    let overage = edit.overage_price.clone().try_map(|text| {
        micros(&text)
            .ok_or_else(|| wrong("overagePrice", "use a number from 0 to 1000000 with at most 6 decimals".to_owned()))
    })?;
    if matches!(overage, Patch::Set(_)) && limit_type != LimitType::Soft {
        return Err(wrong(
            "overagePrice",
            "only what has a soft limit can be used beyond it; use limitType soft".to_owned(),
        ));
    }
    let overage_micros = overage.of(before.and_then(|before| before.overage_micros));
    let carries = limit_type != LimitType::Unlimited && starts_again(feature, reset);
    let rollover_cap = rollover(before, edit, carries).map_err(|(member, detail)| wrong(member, detail))?;
    Ok(PlanFeature {
        enabled: edit.enabled.unwrap_or(before.is_none_or(|before| before.enabled)),
        limit,
        limit_type,
        reset,
        thresholds,
        fail_open,
        overage_micros: overage_micros.filter(|_| limit_type == LimitType::Soft),
        rollover_cap,
    })
}

/// Whether there is a period whose end somebody looks at: minutes and hours are limits of a rate.
fn starts_again(feature: &Feature, reset: Reset) -> bool {
    feature.kind == FeatureKind::Counter && !matches!(reset, Reset::Minute | Reset::Hour | Reset::Never)
}

/// How many units go on to the next period at most.
fn rollover(before: Option<&PlanFeature>, edit: &GrantEdit, carries: bool) -> Result<Option<i64>, Wrong> {
    match edit.rollover_cap {
        Patch::Set(_) if !carries => Err((
            "rolloverCap",
            "only a counter with a limit that starts again each day, week, month or year has units to carry over"
                .to_owned(),
        )),
        Patch::Set(cap) if !(1..=LIMIT_MAX).contains(&cap) => {
            Err(("rolloverCap", format!("use a whole number from 1 to {LIMIT_MAX}, or null to carry nothing over")))
        }
        Patch::Set(cap) => Ok(Some(cap)),
        Patch::Clear => Ok(None),
        Patch::Keep => Ok(before.and_then(|before| before.rollover_cap).filter(|_| carries)),
    }
}

/// A member that is wrong, and what to do.
type Wrong = (&'static str, String);

fn limit(feature: &Feature, before: Option<&PlanFeature>, edit: &GrantEdit) -> Result<(i64, LimitType), Wrong> {
    let numbered = edit.limit_type.filter(|kind| *kind != LimitType::Unlimited);
    if feature.kind == FeatureKind::Flag {
        if numbered.is_some() || matches!(edit.limit_value, Patch::Set(_)) {
            let member = if numbered.is_some() { "limitType" } else { "limitValue" };
            return Err((member, "a flag is on or off and has no limit; use enabled alone".to_owned()));
        }
        return Ok((0, LimitType::Unlimited));
    }
    match edit.limit_value {
        Patch::Set(value) if !(0..=LIMIT_MAX).contains(&value) => {
            Err(("limitValue", format!("use a whole number from 0 to {LIMIT_MAX}, or null for unlimited")))
        }
        Patch::Set(_) if edit.limit_type == Some(LimitType::Unlimited) => {
            Err(("limitValue", "leave it out with limitType unlimited, or use limitType hard or soft".to_owned()))
        }
        Patch::Set(value) => {
            let kept = before.map(|before| before.limit_type).filter(|kind| *kind != LimitType::Unlimited);
            Ok((value, numbered.or(kept).unwrap_or(LimitType::Hard)))
        }
        Patch::Clear if numbered.is_some() => {
            Err(("limitValue", "name a limit; null is for limitType unlimited".to_owned()))
        }
        Patch::Clear => Ok((0, LimitType::Unlimited)),
        Patch::Keep if edit.limit_type == Some(LimitType::Unlimited) => Ok((0, LimitType::Unlimited)),
        Patch::Keep => {
            let before = before.ok_or_else(|| ("limitValue", "name a limit, or null for unlimited".to_owned()))?;
            if before.limit_type == LimitType::Unlimited && numbered.is_some() {
                return Err(("limitValue", "name a limit; there was none before".to_owned()));
            }
            Ok((before.limit, numbered.unwrap_or(before.limit_type)))
        }
    }
}

fn thresholds(kept: Thresholds, edit: &GrantEdit) -> Result<Thresholds, Wrong> {
    let percent = |asked: Option<i64>, kept: u16, member: &'static str| match asked {
        None => Ok(kept),
        Some(value) => u16::try_from(value)
            .ok()
            .filter(|value| (1..=100).contains(value))
            .ok_or_else(|| (member, "use whole per cent from 1 to 100".to_owned())),
    };
    let warning = percent(edit.warning, kept.warning, "thresholds/warning")?;
    let critical = percent(edit.critical, kept.critical, "thresholds/critical")?;
    if warning > critical {
        return Err(("thresholds/warning", format!("use at most the critical threshold, which is {critical}")));
    }
    Ok(Thresholds { warning, critical })
}

fn kind(feature: &Feature) -> &'static str {
    match feature.kind {
        FeatureKind::Counter => "counter",
        FeatureKind::Gauge => "gauge",
        FeatureKind::Flag => "flag",
        FeatureKind::Credit => "credit",
    }
}

/// A decimal number of at most six places as millionths.
fn micros(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let fraction = fraction.trim_end_matches('0');
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > MICRO_PLACES {
        return None;
    }
    let micros: i64 = format!("{whole}{fraction:0<MICRO_PLACES$}").parse().ok()?;
    (micros <= OVERAGE_MICROS_MAX).then_some(micros)
}

/// Millionths as a decimal number without needless zeros.
pub fn decimal(micros: i64) -> String {
    let digits = format!("{micros:0>width$}", width = MICRO_PLACES + 1);
    let (whole, fraction) = digits.split_at_checked(digits.len().saturating_sub(MICRO_PLACES)).unwrap_or((&digits, ""));
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

/// A grant with the names that the API has for its members, for the audit trail.
pub fn told(granted: &PlanFeature) -> Value {
    let limited = granted.limit_type != LimitType::Unlimited;
    json!({
        "enabled": granted.enabled,
        "limitValue": limited.then_some(granted.limit),
        "limitType": granted.limit_type,
        "reset": granted.reset,
        "thresholds": granted.thresholds,
        "failOpen": granted.fail_open,
        "overagePrice": granted.overage_micros.map(decimal),
        "rolloverCap": granted.rollover_cap,
    })
}

#[cfg(test)]
mod tests {
    use domain::id::FeatureKey;

    use super::*;

    const USUAL: Thresholds = Thresholds { warning: 70, critical: 85 };

    fn feature(kind: FeatureKind) -> Feature {
        Feature { key: FeatureKey::stored("x"), name: "X".into(), kind, unit: None, archived: false }
    }

    fn counter(limit: i64, limit_type: LimitType) -> PlanFeature {
        PlanFeature {
            enabled: true,
            limit,
            limit_type,
            reset: Reset::CalendarMonth,
            thresholds: Thresholds::default(),
            fail_open: 3,
            overage_micros: None,
            rollover_cap: None,
        }
    }

    #[test]
    fn what_is_absent_stays_and_a_new_grant_has_defaults() {
        let before = counter(100, LimitType::Soft);
        let raise = GrantEdit { limit_value: Patch::Set(120), ..GrantEdit::default() };
        let raised = edited(&feature(FeatureKind::Counter), (Some(&before), USUAL), &raise, "").expect("it is right");
        assert_eq!(raised, PlanFeature { limit: 120, ..before });
        let new = edited(&feature(FeatureKind::Counter), (None, USUAL), &raise, "").expect("it is right");
        assert_eq!((new.limit_type, new.reset, new.fail_open), (LimitType::Hard, Reset::BillingMonth, 0));
        assert_eq!(new.thresholds, USUAL);
        let flag = edited(&feature(FeatureKind::Flag), (None, USUAL), &GrantEdit::default(), "").expect("it is right");
        assert_eq!((flag.enabled, flag.limit_type, flag.reset), (true, LimitType::Unlimited, Reset::Never));
        let open = GrantEdit { limit_value: Patch::Clear, ..GrantEdit::default() };
        let open = edited(&feature(FeatureKind::Counter), (Some(&raised), USUAL), &open, "").expect("it is right");
        assert_eq!(open.limit_type, LimitType::Unlimited);
        let again = edited(&feature(FeatureKind::Counter), (Some(&open), USUAL), &raise, "").expect("it is right");
        assert_eq!((again.limit, again.limit_type), (120, LimitType::Hard));
    }

    #[test]
    fn what_cannot_be_is_told_by_its_member() {
        use FeatureKind::{Counter, Flag, Gauge};
        let blank = GrantEdit::default;
        let limit = |limit_value| GrantEdit { limit_value, ..blank() };
        let table = [
            (Counter, None, blank(), "/limitValue"),
            (Counter, None, limit(Patch::Set(-1)), "/limitValue"),
            (Counter, None, GrantEdit { limit_type: Some(LimitType::Hard), ..limit(Patch::Clear) }, "/limitValue"),
            (
                Counter,
                None,
                GrantEdit { limit_type: Some(LimitType::Unlimited), ..limit(Patch::Set(1)) },
                "/limitValue",
            ),
            (
                Counter,
                Some(counter(0, LimitType::Unlimited)),
                GrantEdit { limit_type: Some(LimitType::Hard), ..blank() },
                "/limitValue",
            ),
            (Flag, None, limit(Patch::Set(1)), "/limitValue"),
            (Flag, None, GrantEdit { limit_type: Some(LimitType::Soft), ..blank() }, "/limitType"),
            (Gauge, None, GrantEdit { reset: Some(Reset::Day), ..limit(Patch::Set(1)) }, "/reset"),
            (Counter, None, GrantEdit { warning: Some(0), ..limit(Patch::Set(1)) }, "/thresholds/warning"),
            (Counter, None, GrantEdit { critical: Some(101), ..limit(Patch::Set(1)) }, "/thresholds/critical"),
            (Counter, None, GrantEdit { warning: Some(95), ..limit(Patch::Set(1)) }, "/thresholds/warning"),
            (Counter, None, GrantEdit { fail_open: Some(-1), ..limit(Patch::Set(1)) }, "/failOpen"),
            (
                Counter,
                None,
                GrantEdit { overage_price: Patch::Set("0.01".into()), ..limit(Patch::Set(1)) },
                "/overagePrice",
            ),
            (
                Counter,
                Some(counter(1, LimitType::Soft)),
                GrantEdit { overage_price: Patch::Set("0.0000001".into()), ..blank() },
                "/overagePrice",
            ),
        ];
        for (kind, before, edit, pointer) in table {
            let refused = edited(&feature(kind), (before.as_ref(), USUAL), &edit, "").expect_err("it is wrong");
            assert_eq!(refused.more.fields[0].pointer, pointer, "{kind:?} {edit:?}");
        }
        let archived = Feature { archived: true, ..feature(Counter) };
        assert!(edited(&archived, (None, USUAL), &limit(Patch::Set(1)), "").is_err());
        assert!(edited(&archived, (Some(&counter(1, LimitType::Hard)), USUAL), &limit(Patch::Set(2)), "").is_ok());
    }

    #[test]
    fn prices_below_a_cent_are_exact() {
        for (text, amount) in [("0", 0), ("0.002", 2_000), ("12", 12_000_000), ("0.000001", 1), ("1.5", 1_500_000)] {
            assert_eq!((micros(text), decimal(amount).as_str()), (Some(amount), text));
        }
        for bad in ["", ".", "-1", "1e3", "0.0000001", "1000001"] {
            assert_eq!(micros(bad), None, "{bad}");
        }
    }
}
