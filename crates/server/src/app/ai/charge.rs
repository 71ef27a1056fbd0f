//! What a call costs: the credits and units that it draws, and the facts that stand on its event.

use domain::id::FeatureKey;
use providers::llm::Usage;
use serde_json::json;

use super::{INPUT_TOKENS_PER_BYTE_MAX, INPUT_TOKENS_SPARE, Prepared};
use crate::app::cost::cost_micros;

impl Prepared<'_> {
    pub(super) fn amounts(&self, credits: i64) -> Vec<(FeatureKey, i64)> {
        let draws = self.component.draws.iter().map(|draw| (draw.feature.clone(), draw.amount));
        draws.chain(self.component.credit_feature.iter().map(|pool| (pool.clone(), credits))).collect()
    }

    /// `baseTokenCost` plus the tokens (SPEC §13).
    pub(super) fn credits(&self, used: &Usage) -> i64 {
        let tokens = i64::try_from(used.total()).unwrap_or(i64::MAX);
        self.component.base_token_cost.saturating_add(tokens)
    }

    /// The most that the call can plausibly cost, which is held for it.
    pub(super) fn credits_max(&self) -> i64 {
        let tokens = self.input_tokens_max().saturating_add(u64::from(self.action.max_output_tokens));
        self.component
            .base_token_cost
            .saturating_add(i64::try_from(tokens).unwrap_or(i64::MAX))
            .min(domain::usage::AMOUNT_MAX)
    }

    pub(super) fn input_tokens_max(&self) -> u64 {
        let bytes = self.request.input.to_string().len() + self.action.system.len() + self.action.template.len();
        let schema = self.action.output_schema.as_ref().map_or(0, |schema| schema.to_string().len());
        let bytes = u64::try_from(bytes + schema).unwrap_or(u64::MAX);
        bytes.saturating_mul(INPUT_TOKENS_PER_BYTE_MAX).saturating_add(INPUT_TOKENS_SPARE)
    }

    /// Clamps what no such call can have used, and raises the alarm.
    pub(super) fn believed(&self, said: Usage) -> Usage {
        let input_max = self.input_tokens_max();
        let output_max = u64::from(self.action.max_output_tokens).saturating_mul(4);
        let believed = Usage {
            input_tokens: said.input_tokens.min(input_max),
            output_tokens: said.output_tokens.min(output_max),
            cache_write_5m_tokens: said.cache_write_5m_tokens.min(input_max),
            cache_write_1h_tokens: said.cache_write_1h_tokens.min(input_max),
            cache_read_tokens: said.cache_read_tokens.min(input_max),
        };
        if believed != said {
            metrics::counter!("tollgate_ai_usage_clamped_total").increment(1);
            tracing::error!(component = %self.component.key, ?said, ?believed, "an upstream reported usage that cannot be");
        }
        believed
    }

    /// The facts that stand on the event: model, tokens and cost in micro-units of the tenant's currency.
    pub(super) fn detail(&self, used: &Usage, model: &str, estimated: bool) -> String {
        let tenant = &self.cx.tenant;
        let priced = tenant
            .model_price(model, used.total_input(), self.cx.tenant_now())
            .or_else(|| tenant.model_price(&self.component.model, used.total_input(), self.cx.tenant_now()));
        json!({
            "component": self.component.key,
            "version": self.component.version,
            "action": self.action.name,
            "upstream": self.component.upstream,
            "model": model,
            "inputTokens": used.input_tokens,
            "outputTokens": used.output_tokens,
            "cacheWrite5mTokens": used.cache_write_5m_tokens,
            "cacheWrite1hTokens": used.cache_write_1h_tokens,
            "cacheReadTokens": used.cache_read_tokens,
            "costMicros": priced.map(|price| cost_micros(used, price)),
            "estimated": estimated,
        })
        .to_string()
    }
}
