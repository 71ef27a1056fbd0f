//! Lost updates: an edit may name the revision that it was made from, and a tenant may require that.

use crate::cx::Cx;
use crate::error::{Code, Error, Result};

/// The revisions of a resource from which an edit was made, as `If-Match` names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Expected {
    /// The caller did not say.
    #[default]
    Unsaid,
    /// Whatever it is, as long as it is there (`*`).
    Any,
    /// One of these.
    OneOf(Vec<String>),
}

impl Expected {
    /// Checks against the resource's revision, read in the transaction that changes it.
    pub fn check(&self, cx: &Cx, revision: impl ToString) -> Result<()> {
        let current = revision.to_string();
        match self {
            Self::Unsaid if cx.tenant.settings().require_if_match => Err(Error::new(
                Code::PreconditionRequired,
                "Read it first and send its ETag back as If-Match; this tenant requires that of every edit.",
            )),
            Self::Unsaid | Self::Any => Ok(()),
            Self::OneOf(known) if known.contains(&current) => Ok(()),
            Self::OneOf(_) => Err(Error::new(
                Code::PreconditionFailed,
                format!("Somebody changed it meanwhile (its ETag is \"{current}\" now); read it again, then edit."),
            )),
        }
    }
}
