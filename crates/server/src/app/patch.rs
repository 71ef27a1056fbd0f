//! Members of an edit: absent is not null.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What an edit does to something that need not be there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// It stays as it is: the member was absent.
    #[default]
    Keep,
    /// It is taken away: the member was null.
    Clear,
    /// It becomes this.
    Set(T),
}

impl<T> Patch<T> {
    /// Whether it stays as it is; for `skip_serializing_if`.
    pub fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// What it becomes, when it was `before`.
    pub fn of(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Keep => before,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }

    /// The same edit of something else.
    pub fn try_map<U, E>(self, map: impl FnOnce(T) -> Result<U, E>) -> Result<Patch<U>, E> {
        Ok(match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(map(value)?),
        })
    }
}

impl<T> From<Option<T>> for Patch<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Clear, Self::Set)
    }
}

impl<T: Serialize> Serialize for Patch<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Keep | Self::Clear => serializer.serialize_none(),
            Self::Set(value) => value.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(default)]
    struct Edit {
        #[serde(skip_serializing_if = "Patch::is_keep")]
        days: Patch<i64>,
    }

    #[test]
    fn absent_null_and_a_value_are_three_things() {
        for (text, days) in [("{}", Patch::Keep), (r#"{"days":null}"#, Patch::Clear), (r#"{"days":7}"#, Patch::Set(7))]
        {
            let edit: Edit = serde_json::from_str(text).expect("it is right");
            assert_eq!(edit, Edit { days });
            assert_eq!(serde_json::to_string(&edit).expect("JSON"), text);
        }
        assert_eq!(
            (Patch::Keep.of(Some(1)), Patch::Clear.of(Some(1)), Patch::Set(2).of(Some(1))),
            (Some(1), None, Some(2))
        );
    }
}
