//! Reading a backup again, all of it, to know that it is what was stored.

use futures_util::{StreamExt, stream};

use super::{Manifest, Target, files};
use crate::output;

/// Objects read at once.
const AT_ONCE: usize = 4;
/// Most sentences about what is wrong.
const MOST_PROBLEMS: usize = 20;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Verified {
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    /// Whether encrypted objects were opened as well; without a private key only their bytes were compared.
    pub(crate) opened: bool,
    pub(crate) problems: Vec<String>,
}

/// Reads every object of a backup, and compares it with what its manifest says.
pub(crate) async fn verify(target: &Target, manifest: &Manifest) -> anyhow::Result<Verified> {
    let mut verified =
        Verified { opened: manifest.recipients.is_empty() || target.decrypts(), ..Verified::default() };
    for stored in manifest.objects() {
        verified.note(stored.size, target.check(stored).await);
    }
    // What the list says is only worth reading when it is the list.
    if verified.problems.is_empty() {
        let files = files::of(target, manifest).await?;
        let checks = stream::iter(files).map(|entry| async move {
            let entry = entry?;
            anyhow::Ok((entry.stored.size, target.check(&entry.stored).await))
        });
        let mut checks = checks.buffered(AT_ONCE).boxed();
        let mut count = 0;
        while let Some(checked) = checks.next().await {
            let (size, checked) = checked?;
            verified.note(size, checked);
            count += 1;
        }
        if count != manifest.file_count {
            let said = manifest.file_count;
            verified.problems.push(format!("the list has {count} files, and the manifest says {said}"));
        }
    }
    Ok(verified)
}

impl Verified {
    fn note(&mut self, size: u64, checked: anyhow::Result<()>) {
        self.objects += 1;
        self.bytes += size;
        if let Err(error) = checked
            && self.problems.len() < MOST_PROBLEMS
        {
            self.problems.push(output::sentence(&error));
        }
    }
}
