//! The catalogs that a new tenant can start from: what they sell, and nobody who uses it.

use domain::id::TenantId;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::db::Tx;

use super::template;
use crate::error::Result;

/// A catalog that a new tenant can start from.
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
    /// Every catalog.
    pub const ALL: [Self; 3] = [Self::Halisoft, Self::Studio, Self::Empty];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Halisoft => "halisoft",
            Self::Studio => "studio",
            Self::Empty => "empty",
        }
    }

    /// The catalog of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|starter| starter.name() == name)
    }

    /// The catalog, and its components.
    const fn texts(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Halisoft => {
                Some((include_str!("../demo/halisoft.yaml"), include_str!("../demo/halisoft-components.yaml")))
            }
            Self::Studio => Some((include_str!("../demo/studio.yaml"), include_str!("../demo/studio-components.yaml"))),
            Self::Empty => None,
        }
    }

    /// The currency that its prices are in.
    pub fn currency(self) -> Result<Option<String>> {
        self.texts().map(|(catalog, _)| Ok(template::parse(catalog)?.currency)).transpose()
    }

    /// Writes all that it sells into a tenant that has nothing yet. Its components run on the upstream that needs no
    /// key, and say so, until the tenant names another.
    pub async fn write(self, tx: &mut Tx, tenant: &TenantId, now: Timestamp) -> Result<()> {
        let Some((catalog, components)) = self.texts() else { return Ok(()) };
        template::parse(catalog)?.write(tx, tenant, now).await?;
        template::write_components(tx, tenant, components, ("demo", now)).await?;
        template::write_model_prices(tx, tenant, include_str!("../demo/prices.yaml")).await?;
        Ok(store::upstream::put(tx, tenant, &template::keyless("demo")).await?)
    }
}
