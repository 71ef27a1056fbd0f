//! The catalogs that a new tenant can start from: what they sell, and nobody who uses it.

use std::sync::Arc;

use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::db::Tx;
use store::tenant::TenantRow;

use super::template::{self, Template};
use crate::cx::App;
use crate::error::{Error, Result};

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

    /// What it sells, as a document.
    fn template(self) -> Result<Template> {
        template::named(self.name())?.ok_or_else(|| Error::internal(format!("no template {}", self.name())))
    }

    /// The currency that its prices are in.
    pub fn currency(self) -> Result<Option<String>> {
        Ok(self.template()?.catalog.currency)
    }

    /// Writes all that it sells into a tenant that has nothing yet. Its components run on the upstream that needs no
    /// key, and say so, until the tenant names another.
    pub async fn write(self, tx: &mut Tx, app: &Arc<App>, tenant: TenantRow, now: Timestamp) -> Result<()> {
        self.template()?.write(tx, app, tenant, now).await
    }
}
