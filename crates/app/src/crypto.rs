//! Keys, and what they sign: access tokens, mailed links, cursors, CSRF values.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tenon_core::{
    Error, Result, Time,
    callers::Credential,
    ids::{SessionId, UserId},
    secrets::{Secret, TokenHash},
};
use uuid::Uuid;

/// A secret with a name, so that keys can be rotated.
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// Goes into the token's header.
    pub kid: String,
    /// At least 32 bytes.
    pub secret: Secret<Vec<u8>>,
}

/// The keys of an instance: the first signs, all verify.
#[derive(Debug, Clone)]
pub struct Keys(Vec<SigningKey>);

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: Uuid,
    sid: Uuid,
    iat: i64,
    exp: i64,
    jti: Uuid,
}

impl Keys {
    /// Refuses an empty list and short secrets.
    pub fn new(keys: Vec<SigningKey>) -> Result<Self, &'static str> {
        if keys.is_empty() {
            return Err("there is no signing key");
        }
        if keys.iter().any(|k| k.secret.expose().len() < 32) {
            return Err("a signing key needs at least 32 bytes");
        }
        Ok(Self(keys))
    }

    /// Signs an access token (JWT, HS256).
    pub fn sign_access(
        &self,
        user: UserId,
        session: SessionId,
        jti: Uuid,
        now: Time,
        expires: Time,
    ) -> Result<Secret> {
        let key = &self.0[0];
        let header = jsonwebtoken::Header { kid: Some(key.kid.clone()), ..jsonwebtoken::Header::default() };
        let claims = Claims {
            sub: user.uuid(),
            sid: session.uuid(),
            iat: now.timestamp(),
            exp: expires.timestamp(),
            jti,
        };
        jsonwebtoken::encode(&header, &claims, &jsonwebtoken::EncodingKey::from_secret(key.secret.expose()))
            .map(Secret::new)
            .map_err(Error::internal)
    }

    /// The session of an access token, if it is ours and not over at `now`.
    pub fn verify_access(&self, token: &str, now: Time) -> Option<Credential> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        let key = self.0.iter().find(|k| Some(&k.kid) == header.kid.as_ref())?;
        let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
        // Time is the application's clock, checked below.
        rules.validate_exp = false;
        let decoding = jsonwebtoken::DecodingKey::from_secret(key.secret.expose());
        let claims = jsonwebtoken::decode::<Claims>(token, &decoding, &rules).ok()?.claims;
        (claims.exp > now.timestamp())
            .then(|| Credential::Session { user: claims.sub.into(), session: claims.sid.into() })
    }

    /// The secret of a mailed link or the value of a CSRF header: derived, so that it need not be stored.
    pub fn derive(&self, purpose: &str, parts: &[&[u8]]) -> String {
        URL_SAFE_NO_PAD.encode(mac(&self.0[0], purpose, parts))
    }

    /// Whether `value` was derived from the same with any of our keys.
    pub fn derived(&self, purpose: &str, parts: &[&[u8]], value: &str) -> bool {
        let Ok(value) = URL_SAFE_NO_PAD.decode(value) else { return false };
        self.0.iter().any(|key| bool::from(mac(key, purpose, parts).as_slice().ct_eq(&value)))
    }

    /// An opaque, signed text that holds `value`; for cursors.
    pub fn seal(&self, purpose: &str, value: &impl Serialize) -> Result<String> {
        let body = serde_json::to_vec(value).map_err(Error::internal)?;
        let mut sealed = mac(&self.0[0], purpose, &[&body])[..12].to_vec();
        sealed.extend(body);
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// What [`Keys::seal`] sealed for the same purpose; none for anything else.
    pub fn unseal<T: serde::de::DeserializeOwned>(&self, purpose: &str, text: &str) -> Option<T> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (tag, body) = sealed.split_at_checked(12)?;
        let genuine = self.0.iter().any(|key| bool::from(mac(key, purpose, &[body])[..12].ct_eq(tag)));
        if genuine { serde_json::from_slice(body).ok() } else { None }
    }
}

fn mac(key: &SigningKey, purpose: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.secret.expose()).expect("HMAC takes keys of any length");
    mac.update(purpose.as_bytes());
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// The hash under which a token is stored and looked up.
pub fn hash_token(token: &str) -> TokenHash {
    TokenHash(Sha256::digest(token.as_bytes()).into())
}

/// 256 random bits as text.
pub fn random_token(bytes: [u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(kids: &[&str]) -> Keys {
        let key = |kid: &&str| SigningKey {
            kid: (*kid).to_owned(),
            secret: Secret::new(Sha256::digest(kid.as_bytes()).to_vec()),
        };
        Keys::new(kids.iter().map(key).collect()).unwrap()
    }

    fn at(seconds: i64) -> Time {
        Time::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn an_access_token_ends_and_outlives_a_rotation() {
        let (user, session) = (Uuid::from_u128(1).into(), Uuid::from_u128(2).into());
        let token = keys(&["a"]).sign_access(user, session, Uuid::nil(), at(0), at(900)).unwrap();
        let rotated = keys(&["b", "a"]);
        assert_eq!(
            rotated.verify_access(token.expose(), at(899)),
            Some(Credential::Session { user, session })
        );
        assert_eq!(rotated.verify_access(token.expose(), at(900)), None);
        assert_eq!(keys(&["b"]).verify_access(token.expose(), at(1)), None);
    }

    #[test]
    fn a_token_without_a_signature_is_none_of_ours() {
        let unsigned = "eyJhbGciOiJub25lIiwia2lkIjoiYSJ9.eyJzdWIiOiIwMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDEiLCJzaWQiOiIwMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDIiLCJpYXQiOjAsImV4cCI6OTk5OTk5OTk5OSwianRpIjoiMDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAwIn0.";
        assert_eq!(keys(&["a"]).verify_access(unsigned, at(1)), None);
    }

    #[test]
    fn a_cursor_cannot_be_forged_or_used_elsewhere() {
        let keys = keys(&["a"]);
        let sealed = keys.seal("stories", &7).unwrap();
        assert_eq!(keys.unseal::<i32>("stories", &sealed), Some(7));
        assert_eq!(keys.unseal::<i32>("comments", &sealed), None);
        assert_eq!(keys.unseal::<i32>("stories", "AAAA"), None);
        let mut forged = sealed.into_bytes();
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(keys.unseal::<i32>("stories", std::str::from_utf8(&forged).unwrap()), None);
    }
}
