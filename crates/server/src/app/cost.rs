//! What a model call costs: integers throughout, divided once.

use providers::llm::Usage;
use store::model_price::ModelPriceRow;

/// Sum of tokens × rate, divided once and rounded half up: rates are micro-units for a million tokens.
pub fn cost_micros(used: &Usage, price: &ModelPriceRow) -> i64 {
    let parts = [
        (used.input_tokens, price.input),
        (used.output_tokens, price.output),
        (used.cache_write_5m_tokens, price.cache_write_5m),
        (used.cache_write_1h_tokens, price.cache_write_1h),
        (used.cache_read_tokens, price.cache_read),
    ];
    let sum = parts
        .iter()
        .fold(0_i128, |sum, (tokens, rate)| sum.saturating_add(i128::from(*tokens).saturating_mul(i128::from(*rate))));
    i64::try_from(sum.saturating_add(500_000) / 1_000_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cost_is_divided_once_and_rounded_half_up() {
        let price = ModelPriceRow {
            model: "m".into(),
            effective_from: 0,
            prompt_tokens_over: 0,
            input: 2_000_000,
            output: 10_000_000,
            cache_write_5m: 2_500_000,
            cache_write_1h: 4_000_000,
            cache_read: 100_000,
        };
        let used = Usage { input_tokens: 1, cache_read_tokens: 15, output_tokens: 3, ..Usage::default() };
        assert_eq!(cost_micros(&used, &price), 34, "2 + 30 + 1.5 micros");
        assert_eq!(cost_micros(&Usage { input_tokens: u64::MAX, ..Usage::default() }, &price), i64::MAX);
    }
}
