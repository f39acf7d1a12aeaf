//! The keys that sign access tokens.
//!
//! Several can be valid at once, so that a key can be replaced without signing everybody out.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use tenon_app::crypto::SigningKey;
use tenon_core::{ports::randomness::Randomness, secrets::Secret};

const SHORTEST: usize = 32;

/// Reads `name:secret`, or says what is wrong with it without showing it.
pub(crate) fn parse(text: &str) -> Result<SigningKey, &'static str> {
    let (kid, secret) = text.trim().split_once(':').ok_or("must be written as name:secret")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if kid.is_empty() || !kid.chars().all(plain) {
        return Err("needs a name of letters, digits, - and _");
    }
    let secret = URL_SAFE_NO_PAD
        .decode(secret.trim_end_matches('='))
        .map_err(|_| "has a secret that is not base64url")?;
    if secret.len() < SHORTEST {
        return Err("has a secret shorter than 32 bytes");
    }
    Ok(SigningKey { kid: kid.to_owned(), secret: Secret::new(secret) })
}

/// Where generated keys are kept.
pub(crate) fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("keys/signing-keys")
}

/// The configured keys, or else those in `dir`, where one is made when there is none.
pub(crate) fn load(
    configured: &[Secret],
    dir: &Path,
    randomness: &dyn Randomness,
) -> anyhow::Result<Vec<SigningKey>> {
    if !configured.is_empty() {
        return configured.iter().map(|key| parse(key.expose()).map_err(anyhow::Error::msg)).collect();
    }
    let path = dir.join("signing-keys");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => generate(&path, randomness)?,
        Err(e) => {
            return Err(e).with_context(|| format!("cannot read the signing keys in {}", path.display()));
        }
    };
    let keys: Vec<SigningKey> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(parse)
        .collect::<Result<_, _>>()
        .map_err(|wrong| anyhow::anyhow!("a key in {} {wrong}", path.display()))?;
    anyhow::ensure!(
        !keys.is_empty(),
        "there is no key in {}; remove the file to get a new one",
        path.display()
    );
    Ok(keys)
}

/// Makes a key, readable for its owner only. Of two processes that start at once, one makes it and both use it.
fn generate(path: &Path, randomness: &dyn Randomness) -> anyhow::Result<String> {
    let mut bytes = [0; 36];
    randomness.fill(&mut bytes);
    let (name, secret) = bytes.split_at(4);
    let line = format!("{}:{}\n", URL_SAFE_NO_PAD.encode(name), URL_SAFE_NO_PAD.encode(secret));
    let write = || -> std::io::Result<String> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let unfinished = path.with_extension(std::process::id().to_string());
        let mut file: File =
            File::options().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(line.as_bytes())?;
        file.sync_all()?;
        let linked = fs::hard_link(&unfinished, path);
        fs::remove_file(&unfinished)?;
        match linked {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => fs::read_to_string(path),
            linked => linked.map(|()| line),
        }
    };
    write().with_context(|| format!("cannot write a signing key to {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tenon_core::{ports::randomness::Randomness, secrets::Secret};

    use super::{load, parse};

    struct Counting;

    impl Randomness for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            for (byte, n) in bytes.iter_mut().zip(1..) {
                *byte = n;
            }
        }
    }

    #[test]
    fn a_key_is_made_once_and_only_its_owner_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("keys");
        let made = load(&[], &state, &Counting).unwrap();
        let found = load(&[], &state, &Counting).unwrap();
        assert_eq!(made[0].kid, found[0].kid);
        assert_eq!(made[0].secret, found[0].secret);
        assert_eq!(made[0].secret.expose().len(), 32);
        let permissions = state.join("signing-keys").metadata().unwrap().permissions();
        assert_eq!(permissions.mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&state).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn configured_keys_are_used_in_their_order_and_none_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let secret = "A".repeat(43);
        let configured = [format!("new:{secret}"), format!("old:{secret}")].map(Secret::new);
        let keys = load(&configured, dir.path(), &Counting).unwrap();
        assert_eq!(keys.iter().map(|key| key.kid.as_str()).collect::<Vec<_>>(), ["new", "old"]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_short_or_nameless_key_is_refused() {
        assert_eq!(parse("a:c2hvcnQ").unwrap_err(), "has a secret shorter than 32 bytes");
        assert!(parse("c2hvcnQ").is_err());
        assert!(parse(&format!(":{}", "A".repeat(43))).is_err());
    }
}
