//! What a document asks of a tenant: each entry read into the row that it would be, with everything that is wrong noted.

use std::collections::{BTreeMap, BTreeSet};

use domain::catalog::{Feature, Thresholds};
use domain::id::FeatureKey;
use domain::plan::{Offer, Terms};
use domain::revenue::Interval;
use domain::time::Timestamp;
use domain::usage::AMOUNT_MAX;
use store::coupon::CouponRow;
use store::feature::FeatureRow;
use store::model_price::ModelPriceRow;
use store::upstream::UpstreamRow;

use super::document::Document;
use super::entry::{
    Amount, ComponentEntry, CouponEntry, Entry, FeatureEntry, GrantEntry, ModelPriceEntry, PackEntry, PlanEntry,
    UpstreamEntry,
};
use super::read::Problems;
use super::state::{self, ComponentState, PlanState, State};
use crate::app::component::check::{self, Around};
use crate::app::component::edit::COMPONENTS_MAX;
use crate::app::component::{Action, Definition, Draw};
use crate::app::grant::GrantEdit;
use crate::app::model_price::{self, PRICES_MAX, micros};
use crate::app::pack::{self, PACKS_MAX};
use crate::app::patch::Patch;
use crate::app::upstream::{self, UPSTREAMS_MAX};
use crate::app::{coupon, feature, grant, plan, price};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::limits::TEXT_CHARS_MAX;

/// Reads what a document asks for, beside what there is.
struct Reader<'a> {
    cx: &'a Cx,
    now: &'a State,
    document: &'a Document,
    problems: &'a mut Problems,
}

/// What a document asks for. Of sections that it does not have there is nothing in it.
pub fn read(cx: &Cx, now: &State, document: &Document, problems: &mut Problems) -> Result<State> {
    let mut reader = Reader { cx, now, document, problems };
    reader.currency();
    let mut wanted = State { features: reader.features()?, upstreams: reader.upstreams()?, ..State::default() };
    let mut features = state::features(&now.features)?;
    features.extend(state::features(&wanted.features)?);
    wanted.plans = reader.plans(&features)?;
    let names = now.upstreams.iter().chain(&wanted.upstreams).map(|row| row.upstream.as_str());
    let around = Around { features: &features, upstreams: names.collect() };
    wanted.components = reader.components(&around)?;
    wanted.packs = reader.packs(&features)?;
    let plans = now.plans.iter().chain(&wanted.plans).map(|plan| plan.slug.as_str()).collect();
    wanted.coupons = reader.coupons(&plans)?;
    wanted.model_prices = reader.model_prices()?;
    Ok(wanted)
}

/// The entries of a section; none where it is not there.
fn entries<E>(section: Option<&Vec<E>>) -> &[E] {
    section.map_or(&[], Vec::as_slice)
}

impl Reader<'_> {
    fn currency(&mut self) {
        let own = &self.cx.tenant.row.currency;
        if self.document.currency.as_ref().is_some_and(|currency| currency != own) {
            self.problems.add("/currency", format!("the tenant's own currency is {own}; it stands in its settings"));
        }
    }

    /// Notes what is wrong with the place of an entry, and answers it. What is named twice is told at the second.
    fn position(&mut self, pointer: &str, (asked, number): (Option<i64>, usize), most: i64) -> i64 {
        let position = asked.unwrap_or_else(|| i64::try_from(number).unwrap_or(i64::MAX));
        if !(0..=most).contains(&position) {
            self.problems.add(&format!("{pointer}/position"), format!("use a whole number from 0 to {most}"));
        }
        position
    }

    /// Places of the entries of a section with the entries, where none stands twice and there are not too many of them.
    fn placed<'e, E: Entry>(
        &mut self,
        entries: &'e [E],
        known: impl Iterator<Item = String>,
        most: usize,
    ) -> Vec<(usize, String, &'e E)> {
        let mut all: BTreeSet<String> = known.collect();
        let mut seen = BTreeSet::new();
        let mut placed = Vec::new();
        for (number, entry) in entries.iter().enumerate() {
            let pointer = self.problems.place::<E>(number);
            if seen.insert(entry.key()) {
                all.insert(entry.key());
                placed.push((number, pointer, entry));
            } else {
                self.problems.add(&pointer, format!("the {} {} stands in the document twice", E::NOUN, entry.key()));
            }
        }
        if all.len() > most {
            self.problems.add(&format!("/{}", E::SECTION), format!("a tenant has at most {most} of them"));
        }
        placed
    }

    /// A checked member; something that may stand in a row where it is wrong.
    fn checked<T: Default>(&mut self, pointer: &str, result: Result<T>) -> Result<T> {
        Ok(self.problems.take(pointer, result)?.unwrap_or_default())
    }

    fn features(&mut self) -> Result<Vec<FeatureRow>> {
        let entries = entries(self.document.features.as_ref());
        let known = self.now.features.iter().map(|row| row.feature.clone());
        let mut rows = Vec::new();
        for (number, pointer, entry) in self.placed(entries, known, feature::FEATURES_MAX) {
            rows.push(self.feature(&pointer, number, entry)?);
        }
        Ok(rows)
    }

    fn feature(&mut self, pointer: &str, number: usize, entry: &FeatureEntry) -> Result<FeatureRow> {
        let before = self.now.features.iter().find(|row| row.feature == entry.key.as_str());
        let mut row = before.cloned().map_or_else(|| feature::blank(&entry.key, entry.kind), Ok)?;
        if row.kind != feature::blank(&entry.key, entry.kind)?.kind {
            let detail = format!("it is a {}, and its counters depend on that; make another feature", row.kind);
            self.problems.add(&format!("{pointer}/kind"), detail);
        }
        row.name = self.checked(pointer, feature::face("/name", &entry.name, TEXT_CHARS_MAX))?;
        let described = feature::prose("/description", &entry.description, feature::DESCRIPTION_CHARS_MAX);
        row.description = self.checked(pointer, described)?;
        let unit = entry.unit.as_deref().map(|unit| feature::face("/unit", unit, feature::UNIT_CHARS_MAX));
        row.unit = self.checked(pointer, unit.transpose())?;
        row.position = self.position(pointer, (entry.position, number), feature::POSITION_MAX);
        let now = self.cx.tenant_now().as_micros();
        row.archived_at = entry.archived.then(|| row.archived_at.unwrap_or(now));
        Ok(row)
    }

    fn plans(&mut self, features: &BTreeMap<FeatureKey, Feature>) -> Result<Vec<PlanState>> {
        let entries = entries(self.document.plans.as_ref());
        let known = self.now.plans.iter().map(|plan| plan.slug.clone());
        let mut plans = Vec::new();
        for (number, pointer, entry) in self.placed(entries, known, plan::PLANS_MAX) {
            let is_new = !self.now.plans.iter().any(|plan| plan.slug == entry.slug);
            if is_new {
                self.problems.take(&pointer, plan::check_slug(&entry.slug))?;
            }
            let terms = self.terms(&pointer, number, (entry, features))?;
            plans.push(PlanState { slug: entry.slug.clone(), terms, archived: entry.archived });
        }
        Ok(plans)
    }

    fn terms(
        &mut self,
        pointer: &str,
        number: usize,
        (entry, features): (&PlanEntry, &BTreeMap<FeatureKey, Feature>),
    ) -> Result<Terms> {
        let described = feature::prose("/description", &entry.description, plan::DESCRIPTION_CHARS_MAX);
        let trial = plan::within("/trialDays", Some(entry.trial_days), 0, plan::TRIAL_DAYS_MAX);
        let mut terms = Terms {
            name: self.checked(pointer, feature::face("/name", &entry.name, TEXT_CHARS_MAX))?,
            description: self.checked(pointer, described)?,
            active: entry.active && !entry.archived,
            visible: entry.visible,
            position: self.position(pointer, (entry.position, number), plan::POSITION_MAX),
            contact_sales: entry.contact_sales,
            trial_days: self.checked(pointer, trial)?,
            offers: Vec::new(),
            features: BTreeMap::new(),
        };
        for (interval, amounts) in [(Interval::Month, &entry.prices.month), (Interval::Year, &entry.prices.year)] {
            for (currency, Amount(text)) in amounts {
                let place = format!("/prices/{}/{}", interval.name(), currency.code());
                let minor = self.checked(pointer, price::checked(text, *currency, &place))?;
                terms.offers.push(Offer { interval, currency: *currency, minor });
            }
        }
        for (key, granted) in &entry.features {
            let place = format!("/features/{key}");
            let Some(feature) = features.get(key) else {
                self.problems.add(&format!("{pointer}{place}"), "add the feature to `features`, or leave it out");
                continue;
            };
            // What a plan grants of an archived feature it goes on granting, here and wherever it is copied to.
            let feature = Feature { archived: false, ..feature.clone() };
            let granted = grant::edited(&feature, (None, Thresholds::default()), &granted.into(), &place);
            terms.features.extend(self.problems.take(pointer, granted)?.map(|granted| (key.clone(), granted)));
        }
        Ok(terms)
    }

    fn upstreams(&mut self) -> Result<Vec<UpstreamRow>> {
        let entries = entries(self.document.upstreams.as_ref());
        let known = self.now.upstreams.iter().map(|row| row.upstream.clone());
        let mut rows = Vec::new();
        for (_, pointer, entry) in self.placed(entries, known, UPSTREAMS_MAX) {
            let row = self.upstream(&pointer, entry);
            rows.extend(self.problems.take(&pointer, row)?);
        }
        Ok(rows)
    }

    fn upstream(&mut self, pointer: &str, entry: &UpstreamEntry) -> Result<UpstreamRow> {
        let before = self.now.upstreams.iter().find(|row| row.upstream == entry.name);
        let base = before.cloned().unwrap_or_else(|| upstream::keyless(&entry.name, &entry.kind));
        if before.is_none() {
            upstream::check_name(&entry.name)?;
        }
        let base_url = entry.base_url.clone().into();
        let edit = upstream::Edit { kind: Some(entry.kind.clone()), base_url, api_key: Patch::Keep };
        let row = upstream::applied(self.cx, &base, edit)?;
        let moved = row.kind != base.kind || row.base_url != base.base_url;
        if moved && base.api_key_sealed.is_some() {
            let detail = "a stored key is not sent to another address on its own; change it, with its key, by PATCH \
                /api/admin/upstreams/{name} first";
            self.problems.add(pointer, detail.replace("{name}", &entry.name));
        }
        Ok(row)
    }

    fn components(&mut self, around: &Around<'_>) -> Result<Vec<ComponentState>> {
        let entries = entries(self.document.components.as_ref());
        let known = self.now.components.iter().map(|c| c.row.component.clone());
        let mut components = Vec::new();
        for (number, pointer, entry) in self.placed(entries, known, COMPONENTS_MAX) {
            let definition = definition(entry);
            let before = self.now.components.iter().find(|c| c.row.component == entry.key.as_str());
            let same = before.is_some_and(|c| c.definition == definition && c.row.archived == entry.archived);
            if !same && !entry.archived {
                self.problems.take(&pointer, check::definition(around, &entry.key, &definition))?;
                self.own_feature(&pointer, entry, around);
            }
            let mut row = before.map_or_else(|| definition.new_row(&entry.key), |c| Ok(c.row.clone()))?;
            row.active = entry.active;
            row.archived = entry.archived;
            row.position = self.position(&pointer, (entry.position, number), AMOUNT_MAX);
            components.push(ComponentState { row, definition });
        }
        Ok(components)
    }

    /// Elsewhere a component's own feature is made with it; a document says what there is.
    fn own_feature(&mut self, pointer: &str, entry: &ComponentEntry, around: &Around<'_>) {
        let own = entry.draws.iter().position(|draw| draw.feature == entry.key);
        if let Some(number) = own.filter(|_| !around.features.contains_key(&entry.key)) {
            let place = format!("{pointer}/draws/{number}/feature");
            self.problems.add(&place, format!("add the feature {} to `features`", entry.key));
        }
    }

    fn packs(&mut self, features: &BTreeMap<FeatureKey, Feature>) -> Result<Vec<store::pack::PackRow>> {
        let entries = entries(self.document.packs.as_ref());
        let known = self.now.packs.iter().map(|row| row.slug.clone());
        let mut rows = Vec::new();
        for (number, pointer, entry) in self.placed(entries, known, PACKS_MAX) {
            let before = self.now.packs.iter().find(|row| row.slug == entry.slug);
            if before.is_none() {
                self.problems.take(&pointer, pack::check_slug(&entry.slug))?;
            }
            let position = self.position(&pointer, (entry.position, number), AMOUNT_MAX);
            let base = before.cloned().unwrap_or_else(|| pack::blank(self.cx, &entry.slug));
            let row = pack::applied(features, &base, pack_edit(self.cx, entry, position));
            let row = self.problems.take(&pointer, row)?;
            rows.extend(row.map(|row| store::pack::PackRow { archived: entry.archived, ..row }));
        }
        Ok(rows)
    }

    fn coupons(&mut self, plans: &BTreeSet<&str>) -> Result<Vec<CouponRow>> {
        let entries = entries(self.document.coupons.as_ref());
        let mut rows = Vec::new();
        for (_, pointer, entry) in self.placed(entries, std::iter::empty(), usize::MAX) {
            let row = self.coupon(&pointer, (entry, plans));
            rows.extend(self.problems.take(&pointer, row)?);
        }
        Ok(rows)
    }

    fn coupon(&mut self, pointer: &str, (entry, plans): (&CouponEntry, &BTreeSet<&str>)) -> Result<CouponRow> {
        let code = entry.key();
        let off = coupon::NewOff {
            percent: entry.percent_off,
            amount: entry.amount_off.as_ref().map(|Amount(text)| text.clone()),
            currency: entry.currency.clone(),
            duration: entry.duration,
            months: entry.months,
        };
        let new = coupon::taking_off(self.cx, &code, off)?;
        let takes = |row: &CouponRow| {
            (row.percent_off, row.amount_off_minor, row.currency.clone(), row.duration.clone(), row.months)
        };
        let before = self.now.coupons.iter().find(|row| row.code == code);
        match before {
            None => coupon::check_code(&code)?,
            Some(before) if takes(before) != takes(&new) => {
                let detail = "what a coupon takes off never changes, since people redeemed it; make another one";
                self.problems.add(pointer, detail);
            }
            Some(_) => {}
        }
        let edit = coupon::Edit {
            name: Some(entry.name.clone().unwrap_or(code)),
            max_redemptions: entry.max_redemptions.into(),
            // Kept apart, since the end of a coupon that is copied may be in the past.
            valid_until: Patch::Keep,
            plans: Some(entry.plans.clone()),
            active: Some(entry.active),
        };
        let row = coupon::applied(self.cx, before.unwrap_or(&new), edit, |slug| plans.contains(slug))?;
        Ok(CouponRow { valid_until: entry.valid_until.map(Timestamp::as_micros), ..row })
    }

    fn model_prices(&mut self) -> Result<Vec<ModelPriceRow>> {
        let entries = entries(self.document.model_prices.as_ref());
        let known = self.now.model_prices.iter().map(|row| state::priced_model(row).key());
        let mut rows = Vec::new();
        for (_, pointer, entry) in self.placed(entries, known, PRICES_MAX) {
            let row = model_price(entry);
            if let Some(row) = self.problems.take(&pointer, row)? {
                self.past(&pointer, &row);
                rows.push((pointer, row));
            }
        }
        for (pointer, row) in &rows {
            let all = self.now.model_prices.iter().chain(rows.iter().map(|(_, row)| row));
            let mut of_short = all.filter(|other| same_time(other, row) && other.prompt_tokens_over == 0);
            if row.prompt_tokens_over > 0 && of_short.next().is_none() {
                let detail =
                    "add the price of short prompts (0) from the same effectiveFrom: a price has all its bands";
                self.problems.add(&format!("{pointer}/promptTokensOver"), detail);
            }
        }
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    /// What calls were charged with stays as it was.
    fn past(&mut self, pointer: &str, row: &ModelPriceRow) {
        let now = self.cx.tenant_now().as_micros();
        let mut of_model = self.now.model_prices.iter().filter(|other| other.model == row.model).peekable();
        let is_known = of_model.peek().is_some();
        let before = of_model.find(|other| same_time(other, row) && other.prompt_tokens_over == row.prompt_tokens_over);
        let changes = before.is_none_or(|before| model_price::rates(before) != model_price::rates(row));
        if is_known && changes && row.effective_from <= now {
            let detail =
                "calls were charged with the prices in force, which stay; add one with an effectiveFrom to come";
            self.problems.add(&format!("{pointer}/effectiveFrom"), detail);
        }
    }
}

fn same_time(one: &ModelPriceRow, other: &ModelPriceRow) -> bool {
    one.model == other.model && one.effective_from == other.effective_from
}

impl From<&GrantEntry> for GrantEdit {
    fn from(entry: &GrantEntry) -> Self {
        Self {
            enabled: Some(entry.enabled),
            limit_value: entry.limit_value,
            limit_type: entry.limit_type,
            reset: entry.reset,
            warning: Some(entry.thresholds.warning),
            critical: Some(entry.thresholds.critical),
            fail_open: Some(entry.fail_open),
            overage_price: entry.overage_price.clone().map_or(Patch::Keep, |Amount(text)| Patch::Set(text)),
            rollover_cap: entry.rollover_cap.map_or(Patch::Keep, Patch::Set),
        }
    }
}

fn definition(entry: &ComponentEntry) -> Definition {
    let trimmed = |text: &str| text.trim().to_owned();
    Definition {
        name: trimmed(&entry.name),
        category: trimmed(&entry.category),
        description: trimmed(&entry.description),
        base_token_cost: entry.base_token_cost,
        credit_feature: entry.credit_feature.clone(),
        upstream: entry.upstream.clone(),
        model: trimmed(&entry.model),
        charge_rule: entry.charge_rule,
        draws: entry.draws.iter().map(Draw::from).collect(),
        actions: entry.actions.iter().map(Action::from).collect(),
    }
}

fn pack_edit(cx: &Cx, entry: &PackEntry, position: i64) -> pack::Edit {
    pack::Edit {
        name: Some(entry.name.clone()),
        feature: Some(entry.feature.clone()),
        amount: Some(entry.amount),
        price: Some(entry.price.0.clone()),
        currency: Some(entry.currency.clone().unwrap_or_else(|| cx.tenant.row.currency.clone())),
        expires_after_days: entry.expires_after_days.into(),
        active: Some(entry.active && !entry.archived),
        position: Some(position),
    }
}

fn model_price(entry: &ModelPriceEntry) -> Result<ModelPriceRow> {
    let rate = |name: &str, Amount(text): &Amount| {
        let detail = "use a decimal number of at least 0 with at most 6 decimals";
        micros(text).ok_or_else(|| Error::field(format!("/{name}"), detail))
    };
    let row = ModelPriceRow {
        model: entry.model.trim().to_owned(),
        effective_from: entry.effective_from.map_or(0, Timestamp::as_micros),
        prompt_tokens_over: entry.prompt_tokens_over,
        input: rate("input", &entry.input)?,
        output: rate("output", &entry.output)?,
        cache_write_5m: rate("cacheWrite5m", &entry.cache_write_5m)?,
        cache_write_1h: rate("cacheWrite1h", &entry.cache_write_1h)?,
        cache_read: rate("cacheRead", &entry.cache_read)?,
    };
    model_price::check(&row)?;
    Ok(row)
}
