//! Members of a patch: absent is not null.

use serde::{Deserialize, Deserializer};

/// A member of a patch that can be cleared: absent, `null`, or a value. The document needs to be told:
///
/// ```ignore
/// #[serde(default)]
/// #[schema(value_type = Option<String>, max_length = 4000)]
/// description: Field<Description>,
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Field<T> {
    /// Not mentioned: stays as it is.
    #[default]
    Absent,
    /// `null`: is cleared.
    Null,
    /// Becomes this.
    Set(T),
}

/// A member of a patch that always has a value: absent or a value; `null` is refused.
///
/// ```ignore
/// #[serde(default)]
/// #[schema(value_type = String, max_length = 200)]
/// title: Given<StoryTitle>,
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Given<T> {
    /// Not mentioned: stays as it is.
    #[default]
    Absent,
    /// Becomes this.
    Set(T),
}

impl<T> Field<T> {
    /// `None` when absent, `Some(None)` when null: the form of the patches in `core`.
    pub fn into_option(self) -> Option<Option<T>> {
        match self {
            Self::Absent => None,
            Self::Null => Some(None),
            Self::Set(value) => Some(Some(value)),
        }
    }

    /// The same field with its value converted.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Field<U> {
        match self {
            Self::Absent => Field::Absent,
            Self::Null => Field::Null,
            Self::Set(value) => Field::Set(f(value)),
        }
    }
}

impl<T> Given<T> {
    /// `None` when absent.
    pub fn into_option(self) -> Option<T> {
        match self {
            Self::Absent => None,
            Self::Set(value) => Some(value),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Set))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::Set)
    }
}
