//! Exact money: integer minor units and a currency. Never a float, never an unchecked operation.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::revenue::split;

/// A currency of ISO 4217 with the number of its decimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// Currencies without decimals. Source: ISO 4217 list one.
const NO_DECIMALS: [&[u8; 3]; 16] = [
    b"BIF", b"CLP", b"DJF", b"GNF", b"ISK", b"JPY", b"KMF", b"KRW", b"PYG", b"RWF", b"UGX", b"UYI", b"VND", b"VUV",
    b"XAF", b"XOF",
];
/// Currencies with three decimals. Source: ISO 4217 list one.
const THREE_DECIMALS: [&[u8; 3]; 7] = [b"BHD", b"IQD", b"JOD", b"KWD", b"LYD", b"OMR", b"TND"];

/// Why an amount of money could not be read or computed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MoneyError {
    /// Not three upper-case letters.
    #[error("name the currency by its three letters, such as USD")]
    Currency,
    /// Not a plain decimal number.
    #[error("write the amount as a decimal number, such as 349.00")]
    Format,
    /// More decimals than the currency has.
    #[error("the amount has more decimals than its currency")]
    Decimals,
    /// Beyond what 64 bits of minor units hold.
    #[error("the amount is too large")]
    Overflow,
    /// Two currencies in one sum.
    #[error("amounts of different currencies do not add up")]
    Mixed,
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&code).map_err(serde::de::Error::custom)
    }
}

impl Currency {
    /// US dollar, the currency of the demo.
    pub const USD: Self = Self(*b"USD");

    /// Reads an ISO 4217 code.
    pub fn parse(code: &str) -> Result<Self, MoneyError> {
        let letters: [u8; 3] = code.as_bytes().try_into().map_err(|_| MoneyError::Currency)?;
        if letters.iter().all(u8::is_ascii_uppercase) { Ok(Self(letters)) } else { Err(MoneyError::Currency) }
    }

    /// The three letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// Decimal digits of the minor unit: 2 for most, 0 or 3 for some.
    pub fn digits(&self) -> u32 {
        if NO_DECIMALS.contains(&&self.0) {
            0
        } else if THREE_DECIMALS.contains(&&self.0) {
            3
        } else {
            2
        }
    }

    /// Minor units of one: 100 for most, 1 or 1,000 for some.
    pub fn scale(self) -> i64 {
        10_i64.saturating_pow(self.digits())
    }
}

/// An amount in the minor units of its currency (cents for USD).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    /// Minor units; may be negative (a refund).
    pub minor: i64,
    /// What they are units of.
    pub currency: Currency,
}

impl Money {
    /// An amount of minor units.
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Reads a decimal number such as `349.00`, exactly; exponents and surplus decimals are refused.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let numeric = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !numeric(whole) || !numeric(fraction) || digits.ends_with('.') {
            return Err(MoneyError::Format);
        }
        let fraction = fraction.trim_end_matches('0');
        let places = usize::try_from(currency.digits()).unwrap_or(0);
        if fraction.len() > places {
            return Err(MoneyError::Decimals);
        }
        let whole: i64 = whole.parse().map_err(|_| MoneyError::Overflow)?;
        let fraction: i64 = format!("{fraction:0<places$}").parse().unwrap_or(0);
        let minor = whole
            .checked_mul(currency.scale())
            .and_then(|minor| minor.checked_add(fraction))
            .ok_or(MoneyError::Overflow)?;
        Ok(Self { minor: if negative { minor.saturating_neg() } else { minor }, currency })
    }

    /// The sum of two amounts of one currency.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Mixed);
        }
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }

    /// What is left of an amount without another of its currency; may be negative.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Mixed);
        }
        let minor = self.minor.checked_sub(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }

    /// Nothing, of a currency.
    pub const fn zero(currency: Currency) -> Self {
        Self { minor: 0, currency }
    }

    /// Parts of this amount in the proportion of weights. They add up to it to the minor unit: each is rounded down, and
    /// what is left goes by one where most was cut off (largest remainder). Without any weight there is no part.
    pub fn allocate(self, weights: &[i64]) -> Result<Vec<Self>, MoneyError> {
        let all: i128 = weights.iter().map(|weight| i128::from((*weight).max(0))).sum();
        if all == 0 {
            return Ok(vec![Self::zero(self.currency); weights.len()]);
        }
        let total = i64::try_from(self.minor.unsigned_abs()).map_err(|_| MoneyError::Overflow)?;
        let share = |weight: &i64| i128::from(total).checked_mul((*weight).max(0).into()).ok_or(MoneyError::Overflow);
        let sums = weights.iter().map(share).collect::<Result<Vec<_>, _>>()?;
        let sign = self.minor.signum();
        let parts = split(total, &sums, all).into_iter();
        Ok(parts.map(|part| Self { minor: part.saturating_mul(sign), ..self }).collect())
    }
}

impl fmt::Display for Money {
    /// The decimal number with the currency's own digits, without its name: `349.00`, `349` for JPY.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = self.currency.scale().unsigned_abs();
        let minor = self.minor.unsigned_abs();
        let sign = if self.minor < 0 { "-" } else { "" };
        let (whole, fraction) = (minor.checked_div(scale).unwrap_or(0), minor.checked_rem(scale).unwrap_or(0));
        match usize::try_from(self.currency.digits()) {
            Ok(0) | Err(_) => write!(f, "{sign}{whole}"),
            Ok(digits) => write!(f, "{sign}{whole}.{fraction:0digits$}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::parse(code).expect("a currency in a test")
    }

    #[test]
    fn decimals_follow_the_currency() {
        assert_eq!(Money::parse("349.00", Currency::USD), Ok(Money::new(34_900, Currency::USD)));
        assert_eq!(Money::parse("9.9", Currency::USD).map(|m| m.to_string()), Ok("9.90".into()));
        assert_eq!(Money::parse("500", currency("JPY")).map(|m| m.to_string()), Ok("500".into()));
        assert_eq!(Money::parse("1.005", currency("KWD")).map(|m| m.minor), Ok(1_005));
        assert_eq!(Money::parse("1.001", Currency::USD), Err(MoneyError::Decimals));
        assert_eq!(Money::parse("1.5", currency("JPY")), Err(MoneyError::Decimals));
    }

    #[test]
    fn anything_but_a_plain_decimal_is_refused() {
        for bad in ["", ".", "1.", ".5", "1e3", "+1", "1,00", "0x1", "NaN", " 1", "--1", "1.2.3"] {
            assert_eq!(Money::parse(bad, Currency::USD), Err(MoneyError::Format), "{bad:?}");
        }
        assert_eq!(Money::parse("99999999999999999999", Currency::USD), Err(MoneyError::Overflow));
        assert_eq!(Currency::parse("usd"), Err(MoneyError::Currency));
    }

    proptest! {
        #[test]
        fn writing_and_reading_is_exact(minor in -9_000_000_000_000_000_000_i64..9_000_000_000_000_000_000, code in 0_usize..3) {
            let money = Money::new(minor, currency(["USD", "JPY", "KWD"][code]));
            prop_assert_eq!(Money::parse(&money.to_string(), money.currency), Ok(money));
        }

        #[test]
        fn parts_add_up_and_are_within_one_of_their_share(
            minor in -9_000_000_000_000_000_000_i64..9_000_000_000_000_000_000, weights in proptest::collection::vec(0_i64..1_000_000, 1..9),
        ) {
            let whole = Money::new(minor, Currency::USD);
            let parts = whole.allocate(&weights).expect("it fits");
            let all: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
            let sum = parts.iter().try_fold(Money::zero(Currency::USD), |sum, part| sum.checked_add(*part));
            prop_assert_eq!(sum, Ok(if all == 0 { Money::zero(Currency::USD) } else { whole }));
            for (part, weight) in parts.iter().zip(&weights) {
                let exact = i128::from(minor).saturating_mul((*weight).into());
                let off = i128::from(part.minor).saturating_mul(all).saturating_sub(exact);
                prop_assert!(off.abs() < all.max(1), "{} of {}", part.minor, minor);
            }
        }
    }
}
