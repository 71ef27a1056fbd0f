//! The sentences of a refusal at a limit: what is short, and what can be done about it.

use domain::quota::Quota;
use domain::time::{Timestamp, Zone};

use crate::error::{Action, ActionKind};

/// Below this a wait is told in seconds or minutes, above it by its date.
const SHORT_WAIT_SECONDS_MAX: i64 = 2 * 3_600;

/// One feature of which not enough is left.
pub struct Shortage<'a> {
    /// What people call it.
    pub name: &'a str,
    /// What one of it is.
    pub unit: Option<&'a str>,
    /// How it stands.
    pub quota: &'a Quota,
    /// Units asked for.
    pub requested: i64,
}

impl Shortage<'_> {
    /// Whether it would fit once everything is unused again: the limit as a whole and the credits suffice.
    pub fn ever_fits(&self) -> bool {
        self.quota.limit.is_none_or(|limit| self.requested <= limit.saturating_add(self.quota.credits))
    }

    fn sentence(&self) -> String {
        let Self { name, unit, quota, requested } = self;
        let unit = unit.map(|unit| format!(" {unit}")).unwrap_or_default();
        let taken = if quota.reserved > 0 { "used or reserved" } else { "used" };
        let (limit, requested) = (quota.limit.unwrap_or_default(), grouped(*requested));
        if !self.ever_fits() && limit > 0 {
            let credits =
                if quota.credits > 0 { format!(" with {} credits", grouped(quota.credits)) } else { String::new() };
            let limit = grouped(limit);
            return format!(
                "{name}: {requested} were asked for, which is more than the whole limit of {limit}{unit}{credits}."
            );
        }
        match (quota.remaining().unwrap_or_default(), limit) {
            (0, 0) => format!("{name}: the limit is 0."),
            (0, 1) => format!("{name}: the only one is {taken}."),
            (0, limit) => format!("{name}: all {}{unit} are {taken}.", grouped(limit)),
            (1, _) => format!("{name}: 1 is left, and {requested} were asked for."),
            (left, _) => format!("{name}: {}{unit} are left, and {requested} were asked for.", grouped(left)),
        }
    }
}

/// All that is short, a sentence for each, and one that says what to do.
pub fn told(shortages: &[Shortage<'_>], actions: &[Action], wait: Option<String>) -> String {
    let mut ways: Vec<String> = actions.iter().filter_map(|action| way(action.kind)).map(str::to_owned).collect();
    ways.extend(wait);
    if ways.is_empty() {
        ways.push("contact sales".to_owned());
    }
    let mut sentences: Vec<_> = shortages.iter().map(Shortage::sentence).collect();
    sentences.push(format!("{}.", capitalized(&listed(&ways))));
    sentences.join(" ")
}

/// Until when to wait; none when it does not help.
pub fn wait(until: Option<Timestamp>, now: Timestamp, zone: &Zone) -> Option<String> {
    let until = until?;
    let seconds = now.seconds_until(until).max(1);
    if seconds > SHORT_WAIT_SECONDS_MAX {
        return Some(format!("wait until {}", until.date_in(zone).ok()?));
    }
    Some(if seconds > 120 { format!("wait {} min", seconds.div_euclid(60) + 1) } else { format!("wait {seconds} s") })
}

const fn way(kind: ActionKind) -> Option<&'static str> {
    match kind {
        ActionKind::Upgrade => Some("upgrade the plan"),
        ActionKind::TopUp => Some("buy a top-up"),
        ActionKind::Delete => Some("delete something"),
        ActionKind::ContactSales => None,
    }
}

fn listed(ways: &[String]) -> String {
    match ways.split_last() {
        None => String::new(),
        Some((one, [])) => one.clone(),
        Some((last, [one])) => format!("{one} or {last}"),
        Some((last, others)) => format!("{}, or {last}", others.join(", ")),
    }
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A number in groups of three digits.
fn grouped(units: i64) -> String {
    let digits = units.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (left, digit) in (1..=digits.len()).rev().zip(digits.chars()) {
        grouped.push(digit);
        if left > 1 && (left - 1).is_multiple_of(3) && digit != '-' {
            grouped.push(',');
        }
    }
    grouped
}

#[cfg(test)]
mod tests {
    use domain::catalog::FeatureKind;
    use domain::id::FeatureKey;
    use domain::quota::Status;
    use domain::time::Period;

    use super::*;

    fn quota(used: i64, reserved: i64, limit: i64) -> Quota {
        Quota {
            feature: FeatureKey::stored("invoice_ocr"),
            kind: FeatureKind::Counter,
            used,
            reserved,
            limit: Some(limit),
            credits: 0,
            period: Period { start: Timestamp::from_micros(0), end: None },
            status: Status::Ok,
            version: 1,
        }
    }

    fn short(quota: &Quota, requested: i64) -> Shortage<'_> {
        Shortage { name: "Invoice OCR", unit: Some("analyses"), quota, requested }
    }

    fn action(kind: ActionKind) -> Action {
        Action { kind, label: "", plans: Vec::new(), href: None }
    }

    #[test]
    fn one_shortage_reads_well_however_much_is_left() {
        for (used, reserved, limit, requested, wanted) in [
            (100, 0, 100, 1, "Invoice OCR: all 100 analyses are used."),
            (1_234_567, 3, 1_234_570, 1, "Invoice OCR: all 1,234,570 analyses are used or reserved."),
            (87, 0, 100, 20, "Invoice OCR: 13 analyses are left, and 20 were asked for."),
            (99, 0, 100, 100, "Invoice OCR: 1 is left, and 100 were asked for."),
            (
                99,
                0,
                100,
                2_000,
                "Invoice OCR: 2,000 were asked for, which is more than the whole limit of 100 analyses.",
            ),
            (1, 0, 1, 1, "Invoice OCR: the only one is used."),
            (0, 0, 0, 1, "Invoice OCR: the limit is 0."),
            (120, 0, 100, 1, "Invoice OCR: all 100 analyses are used."),
        ] {
            assert_eq!(short(&quota(used, reserved, limit), requested).sentence(), wanted);
        }
    }

    #[test]
    fn what_is_more_than_limit_and_credits_together_never_fits() {
        let quota = Quota { credits: 5, ..quota(10, 0, 100) };
        assert!(short(&quota, 105).ever_fits());
        let over = short(&quota, 106);
        assert!(!over.ever_fits());
        let told =
            "Invoice OCR: 106 were asked for, which is more than the whole limit of 100 analyses with 5 credits.";
        assert_eq!(over.sentence(), told);
    }

    #[test]
    fn several_shortages_are_told_one_by_one_with_one_way_out() {
        let (one, other) = (quota(100, 0, 100), quota(48, 0, 50));
        let shortages = [short(&one, 1), Shortage { name: "Risk", unit: None, ..short(&other, 5) }];
        let actions = [ActionKind::Upgrade, ActionKind::TopUp, ActionKind::ContactSales].map(action);
        assert_eq!(
            told(&shortages, &actions, Some("wait until 2026-12-01".to_owned())),
            "Invoice OCR: all 100 analyses are used. Risk: 2 are left, and 5 were asked for. \
             Upgrade the plan, buy a top-up, or wait until 2026-12-01."
        );
    }

    #[test]
    fn what_to_do_is_one_list() {
        let full = quota(100, 0, 100);
        let to_do = |kinds: &[ActionKind], wait: Option<&str>| {
            let actions: Vec<_> = kinds.iter().copied().map(action).collect();
            let text = told(&[short(&full, 1)], &actions, wait.map(str::to_owned));
            text.strip_prefix("Invoice OCR: all 100 analyses are used. ").expect("the shortage first").to_owned()
        };
        assert_eq!(to_do(&[ActionKind::ContactSales], None), "Contact sales.");
        assert_eq!(to_do(&[ActionKind::ContactSales], Some("wait 9 s")), "Wait 9 s.");
        assert_eq!(to_do(&[ActionKind::Delete, ActionKind::Upgrade], None), "Delete something or upgrade the plan.");
    }

    #[test]
    fn a_short_wait_is_told_in_its_own_unit() {
        let now = Timestamp::parse("2026-11-22T10:00:00Z").expect("an instant");
        let zone = Zone::UTC;
        let told = |seconds: i64| wait(Some(now.plus_seconds(seconds)), now, &zone);
        assert_eq!(told(0).as_deref(), Some("wait 1 s"));
        assert_eq!(told(60).as_deref(), Some("wait 60 s"));
        assert_eq!(told(3_000).as_deref(), Some("wait 51 min"));
        assert_eq!(told(86_400).as_deref(), Some("wait until 2026-11-23"));
        assert_eq!(wait(None, now, &zone), None);
    }
}
