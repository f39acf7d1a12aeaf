//! Passwords: hashing, checking, and refusing the common ones.

use argon2::{Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, password_hash::SaltString};
use tenon_core::{Error, Result, secrets::NewPassword};

use tokio::sync::Semaphore;

use crate::{App, settings::PasswordCost};

/// How many passwords are hashed at once: each takes 19 MiB and a core, so a crowd at the door waits its turn.
static AT_ONCE: Semaphore = Semaphore::const_new(4);

/// Hashes a password with argon2id, off the event loop.
pub async fn hash(app: &App, password: &str) -> Result<String> {
    let salt = SaltString::encode_b64(&app.random::<16>()).map_err(|e| Error::internal(e.to_string()))?;
    let (cost, password) = (app.settings.password_cost, password.to_owned());
    let turn = AT_ONCE.acquire().await.map_err(Error::internal)?;
    tokio::task::spawn_blocking(move || {
        // The work goes on when nobody waits for it any more, and so does its turn.
        let _turn = turn;
        hasher(cost)
            .hash_password(password.as_bytes(), &salt)
            .map(|h| h.to_string())
            .map_err(|e| Error::internal(e.to_string()))
    })
    .await
    .map_err(Error::internal)?
}

/// Whether `password` is the one behind `hash`. Without a hash the work is done all the same, so that
/// an unknown account takes as long as a wrong password.
pub async fn verify(app: &App, password: &str, hash: Option<&str>) -> Result<bool> {
    let (cost, password, hash) = (app.settings.password_cost, password.to_owned(), hash.map(str::to_owned));
    let turn = AT_ONCE.acquire().await.map_err(Error::internal)?;
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        if let Some(hash) = hash {
            let hash = PasswordHash::new(&hash).map_err(|e| Error::internal(e.to_string()))?;
            return Ok(hasher(cost).verify_password(password.as_bytes(), &hash).is_ok());
        }
        let salt = SaltString::encode_b64(&[0; 16]).map_err(|e| Error::internal(e.to_string()))?;
        hasher(cost).hash_password(password.as_bytes(), &salt).map_err(|e| Error::internal(e.to_string()))?;
        Ok(false)
    })
    .await
    .map_err(Error::internal)?
}

/// Refuses a password that is on the list of common ones, or that is little more than the person's own
/// name or address.
pub fn refuse_common(password: &NewPassword, pointer: &str, own: &[&str]) -> Result<()> {
    use zxcvbn::matching::patterns::MatchPattern;
    let text = password.expose();
    // The estimate looks at the first hundred characters; no common password is longer.
    let estimate = zxcvbn::zxcvbn(text, own);
    let whole = estimate.sequence().len() == 1
        && matches!(
            estimate.sequence()[0].pattern,
            MatchPattern::Dictionary(_) | MatchPattern::Repeat(_) | MatchPattern::Sequence(_)
        );
    if whole || u8::from(estimate.score()) < 2 {
        return Err(Error::invalid(
            pointer,
            "common-password",
            "This password is too easy to guess. Take a longer or less usual one.",
        ));
    }
    Ok(())
}

fn hasher(cost: PasswordCost) -> Argon2<'static> {
    let params = match cost {
        PasswordCost::Standard => Params::default(),
        PasswordCost::Least => Params::new(8, 1, 1, None).expect("the least that argon2 allows"),
    };
    Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_passwords_and_one_s_own_name_are_refused() {
        let refused = |text: &str| {
            refuse_common(&NewPassword::parse(text).unwrap(), "/password", &["ada.lovelace"]).is_err()
        };
        for common in
            ["1234567890", "qwertyuiop", "password123", "aaaaaaaaaaaa", "abcdefghijkl", "ada.lovelace"]
        {
            assert!(refused(common), "{common}");
        }
        for good in ["correct horse battery", "xk2!mdw0-qa7", "una frase bastante larga"] {
            assert!(!refused(good), "{good}");
        }
    }
}
