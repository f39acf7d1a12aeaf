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
    /// What keeps it from being restored.
    pub(crate) problems: Vec<String>,
    /// Files whose bytes are not those that were stored; all else can be restored without them.
    pub(crate) damaged_files: u64,
    /// What is wrong with the first of them.
    pub(crate) file_problems: Vec<String>,
}

/// Reads every object of a backup, and compares it with what its manifest says.
pub(crate) async fn verify(target: &Target, manifest: &Manifest) -> anyhow::Result<Verified> {
    let mut verified =
        Verified { opened: manifest.recipients.is_empty() || target.decrypts(), ..Verified::default() };
    for stored in manifest.objects() {
        verified.read(stored.size);
        if let Err(error) = target.check(stored).await {
            note(&mut verified.problems, &error);
        }
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
            verified.read(size);
            if let Err(error) = checked {
                verified.damaged_files += 1;
                note(&mut verified.file_problems, &error);
            }
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
    const fn read(&mut self, size: u64) {
        self.objects += 1;
        self.bytes += size;
    }
}

fn note(problems: &mut Vec<String>, error: &anyhow::Error) {
    if problems.len() < MOST_PROBLEMS {
        problems.push(output::sentence(error));
    }
}
