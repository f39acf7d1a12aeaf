//! Databases beside the installation's own: the one that a restore fills, and the one that it replaced.
//!
//! Whoever restores holds a lock at the server for as long as it takes. So a database that a restore was to fill is a
//! leftover whenever nobody has the lock, and goes; what was replaced is somebody's to remove.

use anyhow::Context;
use sha2::{Digest, Sha256};
use tenon_db::{Connection, Db, address::Address, address::with_database, databases};

use super::{hex, manifest};
use crate::{config::Config, database::db_config};

/// Longest part of the installation's own name in another: with the rest it has to fit into the 63 bytes of a name.
const STEM: usize = 28;

/// What such a database is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// To be filled from a backup, and looked at.
    Restored,
    /// What was there before.
    Replaced,
}

impl Part {
    /// The name of a database beside `own`, for the backup or the moment that `id` stands for.
    pub(super) fn name(self, own: &str, id: &str) -> String {
        format!("{}{}", self.beginning(own), suffix(id))
    }

    fn beginning(self, own: &str) -> String {
        let word = match self {
            Self::Restored => "restored",
            Self::Replaced => "replaced",
        };
        format!("{}_{word}_", stem(own))
    }

    /// The databases of this kind beside `own`, as far as they are the account's.
    async fn all(self, conn: &mut Connection, own: &str) -> anyhow::Result<Vec<String>> {
        let beginning = self.beginning(own);
        let mut found = databases::owned(conn, &beginning).await?;
        found.retain(|name| name != own && name.strip_prefix(&beginning).is_some_and(is_suffix));
        Ok(found)
    }
}

/// What a long name is cut to, so that two that begin alike are not taken for each other.
fn stem(own: &str) -> String {
    if own.len() <= STEM {
        return own.to_owned();
    }
    let digest = hex(&Sha256::digest(own));
    let mut cut = STEM - 9;
    while !own.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}_{}", &own[..cut], &digest[..8])
}

/// `20261120T213000Z-1a2b3c` gives `20261120t213000z_1a2b3c`, fit for a name in the database.
fn suffix(id: &str) -> String {
    id.to_lowercase().replace('-', "_")
}

fn is_suffix(text: &str) -> bool {
    manifest::is_id(&text.to_uppercase().replace('_', "-"))
}

/// The right to restore into a database: whoever has it knows that no restore of it is running elsewhere.
///
/// It is held by a connection to another database of the server, for the one that is replaced takes no visitors.
pub(super) struct Restoring(pub(super) Connection);

impl Restoring {
    /// None while somebody else has it.
    pub(super) async fn try_at(mut beside: Connection, own: &str) -> anyhow::Result<Option<Self>> {
        let digest = Sha256::digest(format!("tenon restore {}", stem(own)));
        let key = digest.iter().take(8).fold(0_i64, |key, byte| key << 8 | i64::from(*byte));
        Ok(databases::try_lock(&mut beside, key).await?.then_some(Self(beside)))
    }

    /// Removes what restores left that broke off; with `only_look` says what that would be.
    pub(super) async fn clear(&mut self, own: &str, only_look: bool) -> anyhow::Result<Vec<String>> {
        let left = Part::Restored.all(&mut self.0, own).await?;
        for name in &left {
            if !only_look {
                databases::drop(&mut self.0, name)
                    .await
                    .with_context(|| format!("cannot remove the database {name}, which a restore left"))?;
                tracing::info!(database.name = name, "Removed a database that a restore left that broke off");
            }
        }
        Ok(left)
    }
}

/// A connection to the database from which others are made and renamed.
pub(super) async fn beside(config: &Config, url: &str) -> anyhow::Result<Connection> {
    Db::open(db_config(config, with_database(url, "postgres")))
        .dedicated()
        .await
        .context("cannot connect to the database postgres, from which databases are made and renamed")
}

/// Removes databases that restores left that broke off. While one is running there is none, and where the account may
/// not look there is none to be found; neither keeps anything else from being removed.
pub(super) async fn clear(config: &Config, db: &Db, only_look: bool) -> Vec<String> {
    let cleared = async {
        let own = Address::of(db.url())?.database;
        match Restoring::try_at(beside(config, db.url()).await?, &own).await? {
            Some(mut alone) => alone.clear(&own, only_look).await,
            None => Ok(Vec::new()),
        }
    };
    cleared.await.unwrap_or_else(|error| {
        tracing::warn!(
            error = &*error as &dyn std::error::Error,
            "Databases that restores may have left could not be looked for"
        );
        Vec::new()
    })
}

/// What lies beside the installation's own database.
#[derive(Debug)]
pub(crate) struct Beside {
    /// Left by restores that broke off, unless one is running.
    pub(crate) restored: Vec<String>,
    /// What restores replaced, and kept.
    pub(crate) replaced: Vec<String>,
}

/// Looks at what lies beside the database `db`.
pub(crate) async fn look(db: &Db) -> anyhow::Result<Beside> {
    let own = Address::of(db.url())?.database;
    let mut conn = db.dedicated().await?;
    Ok(Beside {
        restored: Part::Restored.all(&mut conn, &own).await?,
        replaced: Part::Replaced.all(&mut conn, &own).await?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Part, is_suffix, stem};

    #[test]
    fn names_fit_and_two_long_ones_that_begin_alike_differ() {
        let long = "a_database_with_a_name_that_is_very_long_and_ends_with_1";
        let other = "a_database_with_a_name_that_is_very_long_and_ends_with_2";
        assert_ne!(stem(long), stem(other));
        for own in ["tenon", long, "a_database_with_äöüäöüäöüäöüäöü"] {
            let name = Part::Restored.name(own, "20261120T213000Z-1a2b3c");
            assert!(name.len() <= 63, "{name}");
            let suffix = name.strip_prefix(&Part::Restored.beginning(own)).unwrap();
            assert!(is_suffix(suffix), "{suffix}");
        }
        assert!(!is_suffix("by_hand"), "somebody's own database is nobody's leftover");
    }
}
