//! Templates of tenants: what a new tenant is called and looks like, and the catalog document that it begins with.

use std::sync::Arc;

use domain::id::TenantId;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::db::Tx;
use store::tenant::TenantRow;

use super::audit;
use super::catalog::document::Document;
use super::catalog::entry::UpstreamEntry;
use super::catalog::{self, read};
use super::tenant::{Brand, Tenant};
use crate::cx::{App, Cx};
use crate::error::Result;

/// A tenant to be made.
#[derive(Debug, Clone)]
pub struct Template {
    /// The tenant's name in URLs.
    pub slug: String,
    /// What people read.
    pub name: String,
    /// How it looks.
    pub brand: Brand,
    /// What it sells.
    pub catalog: Document,
}

/// What a new tenant can begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Starter {
    /// Six AI components by the month, on three plans.
    Halisoft,
    /// One pool of prompts and storage, on three plans.
    Studio,
    /// Nothing.
    Empty,
}

impl Starter {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Halisoft, Self::Studio, Self::Empty];

    /// Its name on the wire, and that of the demo's tenant in URLs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Halisoft => "halisoft",
            Self::Studio => "studio",
            Self::Empty => "empty",
        }
    }

    /// The one of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|starter| starter.name() == name)
    }

    /// What it is, read from its documents.
    pub fn template(self) -> Result<Template> {
        let (name, brand, documents) = match self {
            Self::Halisoft => (
                "HaliSoft",
                brand(("#0f766e", "#b45309"), "md"),
                [include_str!("../demo/halisoft.yaml"), include_str!("../demo/halisoft-components.yaml")],
            ),
            Self::Studio => (
                "Studio",
                brand(("#6d28d9", "#be185d"), "lg"),
                [include_str!("../demo/studio.yaml"), include_str!("../demo/studio-components.yaml")],
            ),
            Self::Empty => {
                let (slug, name) = (self.name().to_owned(), String::new());
                return Ok(Template { slug, name, brand: Brand::default(), catalog: Document::default() });
            }
        };
        let [plans, components] = documents.map(document);
        let catalog = Document {
            components: components?.components,
            model_prices: document(include_str!("../demo/prices.yaml"))?.model_prices,
            ..plans?
        };
        let brand = Brand { name: name.to_owned(), ..brand };
        Ok(Template { slug: self.name().to_owned(), name: name.to_owned(), brand, catalog })
    }
}

fn brand((primary, accent): (&str, &str), radius: &str) -> Brand {
    Brand {
        primary: Some(primary.to_owned()),
        accent: Some(accent.to_owned()),
        radius: Some(radius.to_owned()),
        scheme: Some("auto".to_owned()),
        ..Brand::default()
    }
}

fn document(text: &str) -> Result<Document> {
    let (document, problems) = read::read(text.as_bytes())?;
    problems.refuse()?;
    Ok(document)
}

impl Template {
    /// The tenant's own row.
    pub fn tenant(&self, id: &TenantId, mode: &str, now: Timestamp) -> TenantRow {
        let blank = super::setup::blank_tenant(id.clone(), &self.slug, &self.name, now);
        TenantRow {
            mode: mode.to_owned(),
            currency: self.catalog.currency.clone().unwrap_or(blank.currency),
            brand: serde_json::to_string(&self.brand).unwrap_or_default(),
            ..blank
        }
    }

    /// The same with all components on an upstream of its own, which has the name of its kind.
    #[must_use]
    pub fn on_upstream(mut self, kind: &str, base_url: Option<&str>) -> Self {
        let entry = UpstreamEntry { name: kind.into(), kind: kind.into(), base_url: base_url.map(str::to_owned) };
        self.catalog.upstreams.get_or_insert_default().push(entry);
        for component in self.catalog.components.iter_mut().flatten() {
            kind.clone_into(&mut component.upstream);
        }
        self
    }

    /// Writes what it sells into a tenant that this transaction has made and that has nothing yet. Its components run on
    /// the upstream that needs no key, and say so, until the tenant names another.
    pub async fn write(self, tx: &mut Tx, app: &Arc<App>, tenant: TenantRow, now: Timestamp) -> Result<()> {
        let mut cx = Cx::system(app, &Arc::new(Tenant::empty(tenant)?), "template");
        cx.now = now;
        cx.origin = audit::BEGINNING.into();
        catalog::fill(tx, &cx, self.catalog).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_reads() {
        for starter in Starter::ALL {
            let template = starter.template().expect("it reads");
            assert_eq!(Starter::parse(&template.slug), Some(starter));
            assert_eq!(template.catalog.plans.is_some(), starter != Starter::Empty);
        }
        assert_eq!(Starter::parse("nothing"), None);
    }
}
