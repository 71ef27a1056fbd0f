//! Exact decimal numbers for amounts and quantities.

use std::cmp::Ordering;

/// The most digits behind the point.
const SCALE_MAX: u32 = 6;
/// The most digits before the point.
const WHOLE_DIGITS_MAX: usize = 15;

/// `units` ÷ 10^`scale`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decimal {
    units: i128,
    scale: u32,
}

impl Decimal {
    pub(super) const ZERO: Self = Self { units: 0, scale: 0 };

    /// A number from its digits; `None` when there are none, or more than an amount can have.
    pub(super) fn from_digits(negative: bool, whole: &str, fraction: &str) -> Option<Self> {
        let whole = whole.trim_start_matches('0');
        let scale = u32::try_from(fraction.len()).ok()?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() > WHOLE_DIGITS_MAX || scale > SCALE_MAX || !digits(whole) || !digits(fraction) {
            return None;
        }
        let units: i128 = format!("0{whole}{fraction}").parse().ok()?;
        Some(Self { units: if negative { -units } else { units }, scale })
    }

    /// Reads `-1234.50`: a point, no thousands separators. Further zeros than an amount can have are dropped.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if whole.is_empty() {
            return None;
        }
        let kept = fraction.trim_end_matches('0');
        let fraction = if kept.len() < 2 { fraction.get(..2.min(fraction.len()))? } else { kept };
        Self::from_digits(negative, whole, fraction)
    }

    /// Reads a JSON string or number by its text, so that no binary float is in between.
    pub(super) fn from_json(value: &serde_json::Value) -> Option<Self> {
        match value {
            serde_json::Value::String(text) => Self::parse(text),
            serde_json::Value::Number(number) => Self::parse(&number.to_string()),
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Array(_)
            | serde_json::Value::Object(_) => None,
        }
    }

    pub(super) fn whole(number: i64) -> Self {
        Self { units: number.into(), scale: 0 }
    }

    fn at_scale(self, scale: u32) -> i128 {
        self.units.saturating_mul(power_of_ten(scale.saturating_sub(self.scale)))
    }

    pub(super) fn plus(self, other: Self) -> Self {
        let scale = self.scale.max(other.scale);
        Self { units: self.at_scale(scale).saturating_add(other.at_scale(scale)), scale }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        self.plus(other.negated())
    }

    pub(super) fn times(self, other: Self) -> Self {
        Self { units: self.units.saturating_mul(other.units), scale: self.scale.saturating_add(other.scale) }
    }

    /// The part of so many, rounded half away from zero to `scale` digits; zero for no parts.
    pub(super) fn divided(self, parts: i64, scale: u32) -> Self {
        let raised = self.units.saturating_mul(power_of_ten(scale.saturating_sub(self.scale)));
        let shrunk = power_of_ten(self.scale.saturating_sub(scale)).saturating_mul(parts.into());
        Self { units: round_div(raised, shrunk), scale }
    }

    /// Rounded half away from zero to at most `scale` digits.
    pub(super) fn rounded(self, scale: u32) -> Self {
        if self.scale <= scale { self } else { self.divided(1, scale) }
    }

    pub(super) fn negated(self) -> Self {
        Self { units: self.units.saturating_neg(), scale: self.scale }
    }

    pub(super) fn abs(self) -> Self {
        Self { units: self.units.saturating_abs(), scale: self.scale }
    }

    pub(super) fn is_negative(self) -> bool {
        self.units < 0
    }

    pub(super) fn is_zero(self) -> bool {
        self.units == 0
    }

    /// Digits behind the point as written.
    pub(super) fn scale(self) -> u32 {
        self.scale
    }

    /// Written with at least `digits_min` digits behind the point, and no zeros beyond those.
    pub(super) fn text(self, digits_min: u32) -> String {
        let scale = self.scale.max(digits_min);
        let width = usize::try_from(scale).unwrap_or_default().saturating_add(1);
        let digits = format!("{:0>width$}", self.at_scale(scale).unsigned_abs());
        let (whole, fraction) =
            digits.split_at_checked(digits.len().saturating_sub(width - 1)).unwrap_or((&digits, ""));
        let needed = usize::try_from(digits_min).unwrap_or_default();
        let kept = fraction.trim_end_matches('0').len().max(needed);
        let sign = if self.is_negative() { "-" } else { "" };
        match fraction.get(..kept) {
            Some("") | None => format!("{sign}{whole}"),
            Some(fraction) => format!("{sign}{whole}.{fraction}"),
        }
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let scale = self.scale.max(other.scale);
        self.at_scale(scale).cmp(&other.at_scale(scale))
    }
}

fn power_of_ten(exponent: u32) -> i128 {
    10_i128.saturating_pow(exponent)
}

fn round_div(number: i128, divisor: i128) -> i128 {
    let whole = number.checked_div(divisor).unwrap_or_default();
    let rest = number.checked_rem(divisor).unwrap_or_default();
    if rest.saturating_abs().saturating_mul(2) >= divisor.saturating_abs() && divisor != 0 {
        whole.saturating_add(number.signum().saturating_mul(divisor.signum()))
    } else {
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Decimal {
        Decimal::parse(text).expect("a number")
    }

    #[test]
    fn arithmetic_is_exact() {
        assert_eq!(number("0.10").plus(number("0.20")), number("0.3"));
        assert_eq!(number("1190.00").minus(number("0.01")).text(2), "1189.99");
        assert_eq!(number("3").times(number("0.335")).rounded(2).text(2), "1.01");
        assert_eq!(number("-3").times(number("0.335")).rounded(2).text(2), "-1.01");
        assert_eq!(number("100").divided(3, 2).text(2), "33.33");
        assert_eq!(number("200").divided(3, 2).text(2), "66.67");
        assert_eq!(number("5").divided(0, 2).text(2), "0.00");
    }

    #[test]
    fn numbers_are_written_as_money() {
        assert_eq!(number("5").text(2), "5.00");
        assert_eq!(number("0.05").text(2), "0.05");
        assert_eq!(number("-0.5").text(2), "-0.50");
        assert_eq!(number("1.5000").text(0), "1.5");
        assert_eq!(number("12.345").text(2), "12.345");
        assert_eq!(number("100").text(0), "100");
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", "-", ".5", "1,5", "1.2.3", "1e5", "abc", "1234567890123456", "0.1234567"] {
            assert!(Decimal::parse(text).is_none(), "{text}");
        }
        assert_eq!(Decimal::parse("0000000000000000001.50"), Decimal::parse("1.5"));
    }

    #[test]
    fn json_numbers_are_read_by_their_text() {
        let value: serde_json::Value = serde_json::from_str("[1190.1, 0.1, \"19.99\", 7, null]").expect("JSON");
        let read: Vec<Option<String>> = value
            .as_array()
            .expect("array")
            .iter()
            .map(|value| Decimal::from_json(value).map(|number| number.text(2)))
            .collect();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(read, [text("1190.10"), text("0.10"), text("19.99"), text("7.00"), None]);
    }
}
