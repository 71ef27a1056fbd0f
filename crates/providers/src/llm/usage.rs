//! Token counts, and how to read them from upstreams that may say anything.

use serde_json::value::RawValue;

/// Tokens of one call. Every count is in tokens; sums saturate instead of overflowing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Input tokens that were neither written to nor read from the prompt cache.
    pub input_tokens: u64,
    /// Tokens the model wrote, thinking included.
    pub output_tokens: u64,
    /// Input tokens written to the cache for five minutes.
    pub cache_write_5m_tokens: u64,
    /// Input tokens written to the cache for one hour.
    pub cache_write_1h_tokens: u64,
    /// Input tokens read from the cache.
    pub cache_read_tokens: u64,
}

impl Usage {
    /// All input tokens, the cached ones included.
    pub fn total_input(&self) -> u64 {
        self.input_tokens
            .saturating_add(self.cache_write_5m_tokens)
            .saturating_add(self.cache_write_1h_tokens)
            .saturating_add(self.cache_read_tokens)
    }

    /// All tokens, input and output.
    pub fn total(&self) -> u64 {
        self.total_input().saturating_add(self.output_tokens)
    }

    /// The sum of two calls, field by field.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cache_write_5m_tokens: self.cache_write_5m_tokens.saturating_add(other.cache_write_5m_tokens),
            cache_write_1h_tokens: self.cache_write_1h_tokens.saturating_add(other.cache_write_1h_tokens),
            cache_read_tokens: self.cache_read_tokens.saturating_add(other.cache_read_tokens),
        }
    }
}

/// The tokens of a text by rule of thumb: four characters each, rounded up.
pub fn estimate_tokens(text: &str) -> u64 {
    tokens_for_chars(u64::try_from(text.chars().count()).unwrap_or(u64::MAX))
}

/// The tokens of so many characters by the same rule.
pub(super) fn tokens_for_chars(chars: u64) -> u64 {
    chars.div_ceil(4)
}

/// A count as an upstream wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// Absent or null.
    Unsaid,
    /// A number that can be a count of tokens.
    Said(u64),
    /// Something else; the nearest count is kept, and the usage is to be called an estimate.
    Odd(u64),
}

impl Count {
    /// Reads the raw JSON text, so that a number beyond every integer type is still read and not a parse error.
    pub(super) fn read(raw: Option<&RawValue>) -> Self {
        let text = raw.map_or("null", RawValue::get).trim();
        if text == "null" {
            return Self::Unsaid;
        }
        if let Ok(count) = text.parse::<u64>() {
            return Self::Said(count);
        }
        let number = text.starts_with(|c: char| c.is_ascii_digit());
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let whole = mantissa.split('.').next().unwrap_or_default();
        match (number, exponent.strip_prefix('-').is_some()) {
            (false, _) | (true, true) => Self::Odd(0),
            (true, false) if exponent == "0" => Self::Odd(whole.parse().unwrap_or(u64::MAX)),
            (true, false) => Self::Odd(u64::MAX),
        }
    }

    /// Puts the count into `field`, an unsaid one leaving it alone, and notes in `odd` whether it was a strange one.
    pub(super) fn store(self, field: &mut u64, odd: &mut bool) {
        match self {
            Self::Unsaid => {}
            Self::Said(count) => *field = count,
            Self::Odd(count) => {
                *field = count;
                *odd = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Count {
        let raw: Box<RawValue> = serde_json::from_str(text).expect("JSON");
        Count::read(Some(&raw))
    }

    #[test]
    fn counts_are_read_without_overflow() {
        assert_eq!(Count::read(None), Count::Unsaid);
        assert_eq!(read("null"), Count::Unsaid);
        assert_eq!(read("0"), Count::Said(0));
        assert_eq!(read("18446744073709551615"), Count::Said(u64::MAX));
        assert_eq!(read("18446744073709551616"), Count::Odd(u64::MAX));
        assert_eq!(read("1e999"), Count::Odd(u64::MAX));
        assert_eq!(read("1e-9"), Count::Odd(0));
        assert_eq!(read("12.75"), Count::Odd(12));
        assert_eq!(read("-5"), Count::Odd(0));
        assert_eq!(read("-1e999"), Count::Odd(0));
        assert_eq!(read("\"7\""), Count::Odd(0));
        assert_eq!(read("{}"), Count::Odd(0));
    }

    #[test]
    fn sums_saturate() {
        let huge = Usage { input_tokens: u64::MAX, output_tokens: 2, cache_read_tokens: 1, ..Usage::default() };
        assert_eq!(huge.total_input(), u64::MAX);
        assert_eq!(huge.total(), u64::MAX);
        assert_eq!(huge.plus(&huge).output_tokens, 4);
    }

    #[test]
    fn four_characters_are_a_token_rounded_up() {
        assert_eq!(["", "a", "abcd", "äöüß1"].map(estimate_tokens), [0, 1, 1, 2]);
    }
}
