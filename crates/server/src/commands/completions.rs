//! `tenon completions` and `tenon man`: what a package gives to shells and to readers.

use std::{io::Write, path::Path};

use anyhow::Context;
use clap_complete::Shell;

/// Prints the script that completes commands in a shell.
pub(crate) fn print(shell: Shell, mut command: clap::Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "tenon", &mut script);
    match std::io::stdout().write_all(&script) {
        // Whoever reads has read enough.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Writes a manual page for each command into a directory, which is made when absent.
pub(crate) fn write_manual(directory: &Path, command: clap::Command) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(command, directory))
        .with_context(|| format!("cannot write manual pages into {}", directory.display()))
}
