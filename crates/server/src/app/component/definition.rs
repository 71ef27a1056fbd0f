//! What a version of a component is made of: in its row, in its draft, in an edit.

use domain::id::FeatureKey;
use serde::{Deserialize, Serialize};
use store::component::{ComponentRow, DefinitionRow};
use utoipa::ToSchema;

use super::{Action, ChargeRule, Draw};
use crate::app::patch::Patch;
use crate::error::{Error, Result};

/// What a version of a component is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ComponentDefinition)]
pub struct Definition {
    /// What people read.
    #[schema(example = "Invoice OCR & Analysis")]
    pub name: String,
    /// Its group.
    #[schema(example = "documents")]
    pub category: String,
    /// What it does, for people.
    #[schema(example = "Reads an invoice and checks its sums.")]
    pub description: String,
    /// Credits of every call, besides its tokens.
    #[schema(example = 10)]
    pub base_token_cost: i64,
    /// The pool that credits are drawn from; null for none.
    #[schema(value_type = Option<String>, required, example = "tokens")]
    pub credit_feature: Option<FeatureKey>,
    /// Which upstream runs it.
    #[schema(example = "anthropic")]
    pub upstream: String,
    /// The upstream's name of the model.
    #[schema(example = "claude-sonnet-5-5")]
    pub model: String,
    /// When a call is charged.
    pub charge_rule: ChargeRule,
    /// What a call draws.
    pub draws: Vec<Draw>,
    /// What it does.
    pub actions: Vec<Action>,
}

/// What an edit says; what it does not say stays.
#[derive(Debug, Clone, Default)]
pub struct Edit {
    /// What people read.
    pub name: Option<String>,
    /// Its group.
    pub category: Option<String>,
    /// What it does, for people.
    pub description: Option<String>,
    /// Credits of every call.
    pub base_token_cost: Option<i64>,
    /// The pool that credits are drawn from, or that there is none.
    pub credit_feature: Patch<FeatureKey>,
    /// Which upstream runs it.
    pub upstream: Option<String>,
    /// The upstream's name of the model.
    pub model: Option<String>,
    /// When a call is charged.
    pub charge_rule: Option<ChargeRule>,
    /// What a call draws.
    pub draws: Option<Vec<Draw>>,
    /// What it does.
    pub actions: Option<Vec<Action>>,
}

impl Edit {
    /// What becomes of a definition.
    pub fn applied(self, before: Definition) -> Definition {
        Definition {
            name: self.name.map_or(before.name, trimmed),
            category: self.category.map_or(before.category, trimmed),
            description: self.description.map_or(before.description, trimmed),
            base_token_cost: self.base_token_cost.unwrap_or(before.base_token_cost),
            credit_feature: self.credit_feature.of(before.credit_feature),
            upstream: self.upstream.unwrap_or(before.upstream),
            model: self.model.map_or(before.model, trimmed),
            charge_rule: self.charge_rule.unwrap_or(before.charge_rule),
            draws: self.draws.unwrap_or(before.draws),
            actions: self.actions.unwrap_or(before.actions),
        }
    }
}

fn trimmed(text: String) -> String {
    text.trim().to_owned()
}

impl Definition {
    /// Reads the columns of a row.
    pub fn of_row(component: &str, row: &DefinitionRow) -> Result<Self> {
        let broken =
            |what: &str, why: serde_json::Error| Error::internal(format!("component {component}: {what}: {why}"));
        Ok(Self {
            name: row.name.clone(),
            category: row.category.clone(),
            description: row.description.clone(),
            base_token_cost: row.base_token_cost,
            credit_feature: row.credit_feature.as_deref().map(FeatureKey::stored),
            upstream: row.upstream.clone(),
            model: row.model.clone(),
            charge_rule: serde_json::from_value(row.charge_rule.clone().into())
                .map_err(|e| broken("charge rule", e))?,
            draws: serde_json::from_str(&row.draws).map_err(|e| broken("draws", e))?,
            actions: serde_json::from_str(&row.actions).map_err(|e| broken("actions", e))?,
        })
    }

    /// The columns of a row.
    pub fn columns(&self) -> Result<DefinitionRow> {
        let rule = serde_json::to_value(self.charge_rule).map_err(Error::internal)?;
        Ok(DefinitionRow {
            name: self.name.clone(),
            category: self.category.clone(),
            description: self.description.clone(),
            base_token_cost: self.base_token_cost,
            credit_feature: self.credit_feature.as_ref().map(ToString::to_string),
            upstream: self.upstream.clone(),
            model: self.model.clone(),
            charge_rule: rule.as_str().unwrap_or_default().to_owned(),
            draws: serde_json::to_string(&self.draws).map_err(Error::internal)?,
            actions: serde_json::to_string(&self.actions).map_err(Error::internal)?,
        })
    }

    /// The row of a new component.
    pub fn new_row(&self, key: &FeatureKey) -> Result<ComponentRow> {
        Ok(ComponentRow {
            component: key.to_string(),
            definition: self.columns()?,
            active: true,
            position: 0,
            version: 1,
            revision: 1,
            archived: false,
            draft_of: None,
        })
    }
}
