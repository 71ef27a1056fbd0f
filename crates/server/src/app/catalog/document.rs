//! The catalog document: everything that a tenant sells, as one file that people keep and programs write.
//!
//! An entry says all of its thing: what it leaves out has its usual value. A section that is left out says nothing.

use serde_json::{Map, Value};

use super::entry::{
    ComponentEntry, CouponEntry, Entry, FeatureEntry, ModelPriceEntry, PackEntry, PlanEntry, UpstreamEntry,
    usual_action, usual_grant,
};
use crate::app::patch::Patch;
use crate::error::{Error, Result};

/// The form of documents that this version reads and writes.
pub const FORMAT: i64 = 1;
/// Characters of a line, beyond which a text would be folded. Nothing is: a changed word shall be a changed line.
const LINE_CHARS_MAX: usize = 1_000_000;

/// A catalog.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    /// Of prices for use beyond a limit; the tenant's own.
    pub currency: Option<String>,
    /// The plan of new customers, or that there is none.
    pub default_plan: Patch<String>,
    pub features: Option<Vec<FeatureEntry>>,
    pub plans: Option<Vec<PlanEntry>>,
    pub upstreams: Option<Vec<UpstreamEntry>>,
    pub components: Option<Vec<ComponentEntry>>,
    pub model_prices: Option<Vec<ModelPriceEntry>>,
    pub packs: Option<Vec<PackEntry>>,
    pub coupons: Option<Vec<CouponEntry>>,
}

impl Document {
    /// The same of those sections alone that another document has.
    #[must_use]
    pub fn with_sections_of(self, other: &Self) -> Self {
        let keep_plan = other.default_plan.is_keep();
        Self {
            currency: self.currency,
            default_plan: if keep_plan { Patch::Keep } else { self.default_plan },
            features: self.features.filter(|_| other.features.is_some()),
            plans: self.plans.filter(|_| other.plans.is_some()),
            upstreams: self.upstreams.filter(|_| other.upstreams.is_some()),
            components: self.components.filter(|_| other.components.is_some()),
            model_prices: self.model_prices.filter(|_| other.model_prices.is_some()),
            packs: self.packs.filter(|_| other.packs.is_some()),
            coupons: self.coupons.filter(|_| other.coupons.is_some()),
        }
    }

    /// The document as it is written: without what is usual.
    pub fn to_value(&self) -> Result<Value> {
        let mut members = Map::new();
        members.insert("format".to_owned(), FORMAT.into());
        members.extend(self.currency.clone().map(|currency| ("currency".to_owned(), currency.into())));
        if !self.default_plan.is_keep() {
            members
                .insert("defaultPlan".to_owned(), serde_json::to_value(&self.default_plan).map_err(Error::internal)?);
        }
        section(&mut members, self.features.as_deref())?;
        section(&mut members, self.plans.as_deref())?;
        section(&mut members, self.upstreams.as_deref())?;
        section(&mut members, self.components.as_deref())?;
        section(&mut members, self.model_prices.as_deref())?;
        section(&mut members, self.packs.as_deref())?;
        section(&mut members, self.coupons.as_deref())?;
        Ok(Value::Object(members))
    }

    /// The document as YAML.
    pub fn to_yaml(&self) -> Result<String> {
        let value = self.to_value()?;
        let options = serde_saphyr::ser_options! { folded_wrap_chars: LINE_CHARS_MAX, min_fold_chars: LINE_CHARS_MAX };
        serde_saphyr::to_string_with_options(&value, options).map_err(Error::internal)
    }
}

fn section<E: Entry>(members: &mut Map<String, Value>, entries: Option<&[E]>) -> Result<()> {
    let Some(entries) = entries else { return Ok(()) };
    let placed = |(entry, place): (&E, i64)| {
        let mut value = brief(entry)?;
        if let Some(members) = value.as_object_mut()
            && members.get("position").is_some_and(|position| *position == place)
        {
            members.shift_remove("position");
        }
        Ok::<_, Error>(value)
    };
    let entries = entries.iter().zip(0..).map(placed).collect::<Result<Vec<_>>>()?;
    members.insert(E::SECTION.to_owned(), entries.into());
    Ok(())
}

/// An entry without what is usual.
pub fn brief<E: Entry>(entry: &E) -> Result<Value> {
    let mut value = serde_json::to_value(entry).map_err(Error::internal)?;
    shorten(&mut value, &E::usual());
    let grants = value.get_mut("features").and_then(Value::as_object_mut).into_iter().flatten();
    grants.for_each(|(_, grant)| shorten(grant, &usual_grant()));
    let actions = value.get_mut("actions").and_then(Value::as_array_mut).into_iter().flatten();
    actions.for_each(|action| shorten(action, &usual_action()));
    Ok(value)
}

fn shorten(value: &mut Value, usual: &Value) {
    if let Some(members) = value.as_object_mut() {
        members.retain(|name, value| usual.get(name) != Some(value));
    }
}
