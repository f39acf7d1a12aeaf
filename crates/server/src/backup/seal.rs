//! How bytes are kept at the target: compressed with zstd, then encrypted with age, or only one of them.

use std::io::{Read, Write};

use age::{DecryptError, Decryptor, Encryptor};
use serde::{Deserialize, Serialize};
use tenon_core::secrets::Secret;

pub(crate) type Recipient = age::x25519::Recipient;
pub(crate) type Identity = age::x25519::Identity;

/// Fast enough for any disk; what comes out is hardly larger than with more effort.
const LEVEL: i32 = 3;

/// What was done to the bytes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Form {
    #[serde(rename = "plain")]
    Plain,
    #[serde(rename = "zstd")]
    Zstd,
    #[serde(rename = "age")]
    Age,
    #[serde(rename = "zstd+age")]
    ZstdAge,
}

impl Form {
    pub(super) const fn new(compressed: bool, encrypted: bool) -> Self {
        match (compressed, encrypted) {
            (false, false) => Self::Plain,
            (true, false) => Self::Zstd,
            (false, true) => Self::Age,
            (true, true) => Self::ZstdAge,
        }
    }

    pub(super) const fn is_encrypted(self) -> bool {
        matches!(self, Self::Age | Self::ZstdAge)
    }
}

/// Public keys as the configuration has them.
pub(crate) fn recipients(texts: &[String]) -> Result<Vec<Recipient>, String> {
    let parse = |text: &String| {
        text.trim().parse().map_err(|_| format!("{text} is not a public key of age; those begin with age1"))
    };
    texts.iter().map(parse).collect()
}

/// Private keys, one a line, as `age-keygen` writes them; or what is wrong with them, without showing them.
pub(crate) fn identities(text: &Secret) -> Result<Vec<Identity>, &'static str> {
    let lines =
        text.expose().lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys: Vec<Identity> = lines
        .map(|line| line.parse().map_err(|_| "holds a line that is not a private key of age"))
        .collect::<Result<_, _>>()?;
    if keys.is_empty() { Err("holds no private key of age") } else { Ok(keys) }
}

/// Writes what `produce` writes in `form` to `sink`.
pub(super) fn write<W: Write>(
    form: Form,
    recipients: &[Recipient],
    sink: &mut W,
    produce: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    match form {
        Form::Plain => produce(sink),
        Form::Zstd => {
            let mut compressed = compressor(sink)?;
            produce(&mut compressed)?;
            compressed.finish()?;
            Ok(())
        }
        Form::Age => {
            let mut encrypted = encryptor(recipients)?.wrap_output(sink)?;
            produce(&mut encrypted)?;
            encrypted.finish()?;
            Ok(())
        }
        Form::ZstdAge => {
            let encrypted = encryptor(recipients)?.wrap_output(sink)?;
            let mut compressed = compressor(encrypted)?;
            produce(&mut compressed)?;
            compressed.finish()?.finish()?;
            Ok(())
        }
    }
}

/// It is encrypted, and not to a key that is here.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Locked(&'static str);

/// Lets `consume` read what [`write`] wrote.
pub(super) fn read<R: Read, T>(
    form: Form,
    identities: Option<&[Identity]>,
    source: &mut R,
    consume: impl FnOnce(&mut dyn Read) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    match form {
        Form::Plain => consume(source),
        Form::Zstd => consume(&mut zstd::Decoder::new(source)?),
        Form::Age => consume(&mut decrypted(identities, source)?),
        Form::ZstdAge => consume(&mut zstd::Decoder::new(decrypted(identities, source)?)?),
    }
}

fn compressor<W: Write>(sink: W) -> anyhow::Result<zstd::Encoder<'static, W>> {
    let mut compressed = zstd::Encoder::new(sink, LEVEL)?;
    compressed.include_checksum(true)?;
    Ok(compressed)
}

fn encryptor(recipients: &[Recipient]) -> anyhow::Result<Encryptor> {
    Encryptor::with_recipients(recipients.iter().map(|key| key as &dyn age::Recipient))
        .map_err(|e| anyhow::anyhow!("cannot encrypt: {e}"))
}

fn decrypted<R: Read>(
    identities: Option<&[Identity]>,
    source: R,
) -> anyhow::Result<age::stream::StreamReader<R>> {
    let identities = identities.ok_or(Locked(
        "the backup is encrypted, and backup.identity is not set; set backup.identity_file to the file with the private key",
    ))?;
    let keys = identities.iter().map(|key| key as &dyn age::Identity);
    Decryptor::new(source).and_then(|decryptor| decryptor.decrypt(keys)).map_err(|e| match e {
        DecryptError::NoMatchingKeys => {
            Locked("the backup is encrypted to other keys than those in backup.identity").into()
        }
        other => anyhow::anyhow!("cannot decrypt: {other}"),
    })
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use tenon_core::secrets::Secret;

    use super::{Form, Identity, identities, read, recipients, write};

    fn text(identities: Option<&[Identity]>, form: Form, mut sealed: &[u8]) -> anyhow::Result<String> {
        read(form, identities, &mut sealed, |reader| {
            let mut text = String::new();
            reader.read_to_string(&mut text)?;
            Ok(text)
        })
    }

    #[test]
    fn what_was_sealed_opens_with_the_right_key_only() {
        let (right, wrong) = (Identity::generate(), Identity::generate());
        let to = recipients(&[right.to_public().to_string()]).unwrap();
        for form in [Form::Plain, Form::Zstd, Form::Age, Form::ZstdAge] {
            let mut sealed = Vec::new();
            write(form, &to, &mut sealed, |sink| Ok(sink.write_all(&b"story ".repeat(1000))?)).unwrap();
            assert_eq!(text(Some(from_ref(&right)), form, &sealed).unwrap(), "story ".repeat(1000));
            assert_eq!(form == Form::Plain, sealed.windows(11).any(|part| part == b"story story"));
            if form.is_encrypted() {
                let refused = text(Some(from_ref(&wrong)), form, &sealed).unwrap_err().to_string();
                assert!(refused.contains("other keys"), "{refused}");
                assert!(text(None, form, &sealed).unwrap_err().to_string().contains("identity_file"));
                let mut cut = sealed.clone();
                cut.truncate(sealed.len() - 1);
                assert!(text(Some(from_ref(&right)), form, &cut).is_err(), "a truncated one is noticed");
            }
        }
    }

    #[test]
    fn keys_are_read_as_age_keygen_writes_them() {
        use age::secrecy::ExposeSecret;
        let key = Identity::generate();
        let file = format!("# created: today\n# public key: x\n{}\n", key.to_string().expose_secret());
        assert_eq!(identities(&Secret::new(file)).unwrap().len(), 1);
        assert!(identities(&Secret::new("# nothing\n".to_owned())).is_err());
        assert!(identities(&Secret::new("nonsense".to_owned())).is_err());
        assert!(recipients(&["age1nonsense".to_owned()]).is_err());
    }
}
