//! `tenon backup`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{
    backup::{self, Drill, Drilled, Found, Kind, Made, Manifest, Pruned, State, Target, Verified},
    config::{Config, Span},
    database::Database,
    output::Output,
};

#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Make a backup, and remove those that are kept no longer.
    ///
    /// Reads the database in one snapshot with `pg_dump` of the server's version, the files it refers to, and the
    /// generated keys; writes to backup.target, encrypted when backup.recipients are set. Nothing that runs is
    /// disturbed. Fails, with the backup made, when the storage has lost files.
    Create(Patience),
    /// Make a base backup: with the write-ahead log archived since, any later moment can be restored.
    ///
    /// Reads the whole cluster with `pg_basebackup`, which needs an account that may replicate, and the files that the
    /// database refers to; writes to backup.target.
    Base {
        /// Make none when there is one that is younger than this, such as `6d`.
        #[arg(long, value_name = "TIME")]
        unless_younger: Option<Span>,
        #[command(flatten)]
        patience: Patience,
    },
    /// Restore a backup into a cluster made for it, and look at the result as members see it.
    ///
    /// Needs the programs of a PostgreSQL server, and backup.identity for encrypted backups. Touches nothing that runs, and
    /// writes down in the database how long it took.
    Drill {
        /// The backup; when absent the newest one that was not made by a restore.
        id: Option<String>,
        /// Recover the newest base backup and the archived write-ahead log instead, up to its end.
        #[arg(long, conflicts_with = "id")]
        to_latest: bool,
    },
    /// List backups, oldest first, and what is left of those that broke off.
    List,
    /// Read a backup again, all of it, and compare it with what was stored.
    ///
    /// With backup.identity, encrypted backups are opened as well; without, their bytes are compared.
    Verify {
        /// The backup; when absent the newest one that was not made by a restore.
        id: Option<String>,
    },
    /// Remove backups that are kept no longer, and what is left of backups and restores that broke off.
    Prune {
        /// Only say what would be removed.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        patience: Patience,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Patience {
    /// How long to wait, such as `6h`, while another backup of the same database is made or removed.
    #[arg(long, value_name = "TIME", default_value = "0s")]
    wait: Span,
}

/// Runs one of the commands.
pub(crate) async fn run(command: BackupCommand, config: &Config, output: &Output) -> anyhow::Result<()> {
    let target = Target::open(config).await?;
    match command {
        BackupCommand::Create(patience) => {
            on_database(config, async |database| {
                let made = backup::create(config, &database.db, &target, patience.wait.duration()).await?;
                tell(&made, &target, output, object(&made.manifest), "")
            })
            .await
        }
        BackupCommand::Base { unless_younger, patience } => {
            if let Some(age) = unless_younger
                && let Some(young) = backup::youngest_base(&target, age.duration()).await?
            {
                return output.print(&object(&young), || {
                    format!(
                        "There is a base backup of {}: {}.",
                        young.snapshot_at.format("%Y-%m-%d %H:%M:%S UTC"),
                        young.id
                    )
                });
            }
            on_database(config, async |database| {
                let (made, archives) = backup::base(config, &database.db, &target, patience.wait.duration()).await?;
                let mut shown = object(&made.manifest);
                shown["archives"] = json!(archives);
                let hint = if archives {
                    ""
                } else {
                    " The server does not archive its write-ahead log, so no moment after this one can be restored."
                };
                tell(&made, &target, output, shown, hint)
            })
            .await
        }
        BackupCommand::Drill { id, to_latest } => {
            let what = if to_latest { Drill::Log } else { Drill::Backup(id) };
            on_database(config, async |database| {
                let drilled = backup::drill(config, &database.db, &target, &what).await?;
                drill(&drilled, output)
            })
            .await
        }
        BackupCommand::List => list(&target, output).await,
        BackupCommand::Verify { id } => verify(&target, id.as_deref(), output).await,
        BackupCommand::Prune { dry_run, patience } => {
            on_database(config, async |database| {
                let pruned =
                    backup::prune(config, &database.db, &target, patience.wait.duration(), dry_run).await?;
                output.print(&removed(&pruned), || pruned_line(&pruned, dry_run))
            })
            .await
        }
    }
}

async fn on_database(
    config: &Config,
    work: impl AsyncFnOnce(&Database) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let database = Database::open(config).await?;
    let done = work(&database).await;
    database.close().await?;
    done
}

fn tell(made: &Made, target: &Target, output: &Output, mut shown: Value, hint: &str) -> anyhow::Result<()> {
    let manifest = &made.manifest;
    shown["copied_files"] = json!(made.copied);
    shown["copied_bytes"] = json!(made.copied_bytes);
    shown["removed"] = removed(&made.pruned);
    output.print(&shown, || {
        let removed = match made.pruned.backups.len() {
            0 => String::new(),
            1 => " Removed one old backup.".to_owned(),
            count => format!(" Removed {count} old backups."),
        };
        format!(
            "Made the backup {} in {}: {}, {} files ({} new), {}.{removed}{hint}",
            manifest.id,
            target.place(),
            size(manifest.size()),
            manifest.file_count,
            made.copied,
            if target.encrypts() { "encrypted" } else { "not encrypted" },
        )
    })?;
    anyhow::ensure!(
        manifest.lost_files.is_empty(),
        "the backup was made, but the storage has lost {} of the files that the database refers to: {}",
        manifest.lost_files.len(),
        manifest.lost_files.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ")
    );
    Ok(())
}

fn drill(drilled: &Drilled, output: &Output) -> anyhow::Result<()> {
    let took = drilled.took();
    let shown = json!({
        "id": drilled.manifest.id,
        "kind": drilled.manifest.kind,
        "snapshot_at": drilled.manifest.snapshot_at,
        "last_change_at": drilled.last_change,
        "files": drilled.files,
        "seen_by_members": drilled.seen,
        "seconds": took,
    });
    let (id, seen, files) = (&drilled.manifest.id, &drilled.seen, drilled.files);
    output.print(&shown, || match drilled.manifest.kind {
        Kind::Full => format!(
            "The backup {id} can be restored: it took {took:.1} s. Members see {} workspaces and {} projects, and {files} \
             files are what was uploaded.",
            seen.workspaces, seen.projects
        ),
        Kind::Base => format!(
            "The base backup {id} and the log can be recovered{}: it took {took:.1} s. Members see {} workspaces and {} \
             projects, and there are {files} files.",
            drilled
                .last_change
                .map(|at| format!(", up to the change of {}", at.format("%Y-%m-%d %H:%M:%S UTC")))
                .unwrap_or_default(),
            seen.workspaces,
            seen.projects
        ),
    })
}

async fn list(target: &Target, output: &Output) -> anyhow::Result<()> {
    let found = backup::list(target).await?;
    output.print(&found.iter().map(entry).collect::<Vec<_>>(), || match found.as_slice() {
        [] => format!("There are no backups in {}.", target.place()),
        some => some.iter().map(line).collect::<Vec<_>>().join("\n"),
    })
}

async fn verify(target: &Target, id: Option<&str>, output: &Output) -> anyhow::Result<()> {
    let manifest = backup::find(target, id, Kind::Full).await?;
    let verified = backup::verify(target, &manifest).await?;
    let Verified { objects, bytes, opened, problems, damaged_files, file_problems } = &verified;
    let shown = json!({
        "id": manifest.id,
        "objects": objects,
        "bytes": bytes,
        "opened": opened,
        "problems": problems,
        "damaged_files": damaged_files,
        "file_problems": file_problems,
    });
    output.print(&shown, || {
        let how = if *opened {
            ""
        } else {
            " They are encrypted, and were not opened: backup.identity is not set."
        };
        format!("Read {objects} objects ({}) of the backup {}.{how}", size(*bytes), manifest.id)
    })?;
    anyhow::ensure!(
        problems.is_empty(),
        "the backup {} cannot be restored as it is: {}",
        manifest.id,
        problems.join("; ")
    );
    anyhow::ensure!(
        *damaged_files == 0,
        "the backup {} can be restored but for {damaged_files} files, unless the storage or another backup has them: {}",
        manifest.id,
        file_problems.join("; ")
    );
    Ok(())
}

fn entry(found: &Found) -> Value {
    match &found.state {
        State::Whole(manifest) => object(manifest),
        State::Unreadable(why) => json!({ "id": found.id, "state": "unreadable", "problem": why }),
        State::Unfinished => json!({ "id": found.id, "state": "unfinished" }),
    }
}

fn object(manifest: &Manifest) -> Value {
    json!({
        "id": manifest.id,
        "state": "whole",
        "kind": manifest.kind,
        "snapshot_at": manifest.snapshot_at,
        "finished_at": manifest.finished_at,
        "tenon": manifest.tenon,
        "postgres": manifest.postgres,
        "safety": manifest.safety,
        "encrypted": !manifest.recipients.is_empty(),
        "size_bytes": manifest.size(),
        "files": manifest.file_count,
        "lost_files": manifest.lost_files,
        "counts": manifest.counts,
    })
}

fn line(found: &Found) -> String {
    match &found.state {
        State::Whole(manifest) => format!(
            "{}  {}  {}  {}, {} files, {} people, {}{}",
            manifest.id,
            manifest.kind.as_str(),
            manifest.snapshot_at.format("%Y-%m-%d %H:%M:%S UTC"),
            size(manifest.size()),
            manifest.file_count,
            manifest.counts.users,
            if manifest.recipients.is_empty() { "not encrypted" } else { "encrypted" },
            if manifest.safety { ", made by a restore of what it replaced" } else { "" },
        ),
        State::Unreadable(why) => format!("{}  cannot be used: {why}", found.id),
        State::Unfinished => format!("{}  broke off, or is being made", found.id),
    }
}

fn removed(pruned: &Pruned) -> Value {
    json!({
        "backups": pruned.backups,
        "leftovers": pruned.leftovers,
        "files": pruned.files,
        "segments": pruned.segments,
        "databases": pruned.databases,
    })
}

fn pruned_line(pruned: &Pruned, dry_run: bool) -> String {
    format!(
        "{}: {} backups, {} that broke off, {} objects with bytes of files, {} segments of the write-ahead log, {} databases that restores left.",
        if dry_run { "Would remove" } else { "Removed" },
        pruned.backups.len(),
        pruned.leftovers.len(),
        pruned.files,
        pruned.segments,
        pruned.databases.len()
    )
}

/// With the largest unit that leaves at least one.
fn size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.iter().find(|(shift, _)| bytes >> shift > 0) {
        Some((shift, unit)) => {
            let tenths = (u128::from(bytes) * 10) >> shift;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} B"),
    }
}
