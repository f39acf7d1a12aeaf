//! What one socket is at on one stream, as it told last.

use std::{collections::hash_map::RandomState, hash::BuildHasher};

use serde_json::Value;

/// The most bytes of a state.
const LONGEST: usize = 2048;

/// The last state told; only its hash is kept.
#[derive(Default)]
pub(super) struct Presence {
    hashes: RandomState,
    told: Option<u64>,
}

impl Presence {
    /// Takes a new state; answers whether it is another one, which the others are to be told. Refused in a sentence when
    /// it is too long.
    pub(super) fn change(&mut self, state: &Value) -> Result<bool, String> {
        let text = state.to_string();
        if text.len() > LONGEST {
            return Err(format!("A presence state has at most {LONGEST} bytes."));
        }
        let told = (!state.is_null()).then(|| self.hashes.hash_one(&text));
        Ok(std::mem::replace(&mut self.told, told) != told)
    }

    /// Whether the others take it for being somewhere.
    pub(super) fn is_told(&self) -> bool {
        self.told.is_some()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_another_state_is_news() {
        let mut presence = Presence::default();
        assert_eq!(presence.change(&Value::Null), Ok(false));
        assert_eq!(presence.change(&json!({ "story": 1 })), Ok(true));
        assert_eq!(presence.change(&json!({ "story": 1 })), Ok(false));
        assert_eq!(presence.change(&json!({ "story": 2 })), Ok(true));
        assert!(presence.is_told());
        assert_eq!(presence.change(&Value::Null), Ok(true));
        assert!(!presence.is_told());
        assert!(presence.change(&json!("x".repeat(2048))).is_err());
    }
}
