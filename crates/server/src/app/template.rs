//! Templates of tenants: what a new tenant is called and looks like, and the catalog document that it begins with.

use std::sync::Arc;

use domain::id::TenantId;
use domain::time::Timestamp;
use store::db::Tx;
use store::tenant::TenantRow;

use super::audit;
use super::catalog::document::Document;
use super::catalog::entry::UpstreamEntry;
use super::catalog::{self, read};
use super::tenant::{Brand, Tenant};
use crate::cx::{App, Cx};
use crate::error::Result;

/// What new tenants can begin with.
#[cfg(test)]
pub const NAMES: [&str; 3] = ["halisoft", "studio", "empty"];

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

/// The template of a name; none for any other than `halisoft`, `studio` and `empty`.
pub fn named(name: &str) -> Result<Option<Template>> {
    let (called, brand, documents) = match name {
        "halisoft" => (
            "HaliSoft",
            brand(("#0f766e", "#b45309"), "md"),
            [include_str!("../demo/halisoft.yaml"), include_str!("../demo/halisoft-components.yaml")],
        ),
        "studio" => (
            "Studio",
            brand(("#6d28d9", "#be185d"), "lg"),
            [include_str!("../demo/studio.yaml"), include_str!("../demo/studio-components.yaml")],
        ),
        "empty" => {
            let (slug, name) = (name.to_owned(), String::new());
            return Ok(Some(Template { slug, name, brand: Brand::default(), catalog: Document::default() }));
        }
        _ => return Ok(None),
    };
    let [plans, components] = documents.map(document);
    let catalog = Document {
        components: components?.components,
        model_prices: document(include_str!("../demo/prices.yaml"))?.model_prices,
        ..plans?
    };
    let brand = Brand { name: called.to_owned(), ..brand };
    Ok(Some(Template { slug: name.to_owned(), name: called.to_owned(), brand, catalog }))
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

    /// Writes what it sells into a tenant that this transaction has made and that has nothing yet.
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
        for name in NAMES {
            let template = named(name).expect("it reads").expect("it is there");
            assert_eq!(template.slug, name);
            assert_eq!(template.catalog.plans.is_some(), name != "empty");
        }
        assert!(named("nothing").expect("it is no error").is_none());
    }
}
