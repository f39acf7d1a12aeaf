//! PostgreSQL's own programs: `pg_dump` and its like, of the server's major version.

use std::{
    io::{self, Read, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::JoinHandle,
};

use anyhow::Context;
use tempfile::NamedTempFile;
use tenon_db::{
    Db,
    address::{Address, Encryption},
    backups, managed,
};

use crate::{config::Config, database::db_config};

/// A program that will talk to one database.
pub(super) struct Program {
    name: &'static str,
    command: Command,
    /// The password, readable for us only: not an argument, which everybody on the machine could read.
    _password: Option<NamedTempFile>,
}

impl Program {
    /// Finds the program of this major version, to talk to the database at `url`.
    pub(super) async fn find(
        config: &Config,
        name: &'static str,
        major: u32,
        url: &str,
    ) -> anyhow::Result<Self> {
        let path: PathBuf = managed::program(config.database.bin_dir.as_deref(), name, major).await?;
        let address = Address::of(url)?;
        let mut command = Command::new(path);
        for variable in ["PGSERVICE", "PGSERVICEFILE", "PGOPTIONS", "PGPASSWORD", "PGHOSTADDR", "PGDATABASE"]
        {
            command.env_remove(variable);
        }
        command.env("PGHOST", &address.host).env("PGPORT", &address.port);
        if let Some(numeric) = &address.numeric {
            command.env("PGHOSTADDR", numeric);
        }
        command.env("PGTARGETSESSIONATTRS", if address.writable { "read-write" } else { "any" });
        command.env("PGDATABASE", &address.database).env("PGAPPNAME", format!("tenon {name}"));
        command.env("PGCONNECT_TIMEOUT", "10");
        // As our own connections: encrypted and the server's certificate verified, or not encrypted.
        let encrypted = match address.encryption {
            Encryption::Never => false,
            Encryption::Required => true,
            Encryption::Offered => {
                let ours = Db::open(db_config(config, url.to_owned()));
                backups::is_encrypted(&mut ours.dedicated().await?).await?
            }
        };
        if encrypted {
            command.env("PGSSLMODE", "verify-full").env("PGSSLROOTCERT", authorities(&address)?);
        } else {
            command.env("PGSSLMODE", "disable");
        }
        if let Some(user) = &address.user {
            command.env("PGUSER", user);
        }
        let password = match &address.password {
            None => None,
            Some(password) => {
                let mut file = NamedTempFile::new().context("cannot make a temporary file")?;
                let escaped = password.expose().replace('\\', "\\\\").replace(':', "\\:");
                writeln!(file, "*:*:*:*:{escaped}")?;
                command.env("PGPASSFILE", file.path());
                Some(file)
            }
        };
        Ok(Self { name, command, _password: password })
    }

    pub(super) fn args<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Runs it, and writes what it writes to `sink`; blocks.
    pub(super) fn write_to(mut self, sink: &mut dyn Write) -> anyhow::Result<()> {
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.spawn()?;
        let complaints = complaints(&mut child);
        let mut output = child.stdout.take().expect("it was asked for");
        if let Err(error) = io::copy(&mut output, sink) {
            // Nobody reads it any more.
            let _ = child.kill();
            let _ = child.wait();
            return Err(error.into());
        }
        self.finish(child, complaints)
    }

    /// Runs it, and lets it read `source` to its end; blocks.
    pub(super) fn read_from(mut self, source: &mut dyn Read) -> anyhow::Result<()> {
        self.command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = self.spawn()?;
        let complaints = complaints(&mut child);
        let mut input = child.stdin.take().expect("it was asked for");
        let copied = io::copy(source, &mut input);
        drop(input);
        match copied {
            // It ended early, and says why.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error.into())
            }
            _ => self.finish(child, complaints),
        }
    }

    fn spawn(&mut self) -> anyhow::Result<Child> {
        self.command.spawn().with_context(|| format!("cannot run {}", self.name))
    }

    fn finish(&self, mut child: Child, complaints: JoinHandle<String>) -> anyhow::Result<()> {
        let status = child.wait()?;
        let complaints = complaints.join().unwrap_or_default();
        anyhow::ensure!(status.success(), "{} failed: {}", self.name, last_lines(&complaints));
        Ok(())
    }
}

/// Where distributions keep those who may sign any certificate.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The file with those who may sign the server's certificate.
fn authorities(address: &Address) -> anyhow::Result<PathBuf> {
    let bundle = || BUNDLES.iter().map(PathBuf::from).find(|file| file.exists());
    address.authorities.clone().or_else(bundle).context(
        "this machine has no file with the public authorities, by which the programs of PostgreSQL know the server; name one in database.url, with sslrootcert=/path",
    )
}

/// Collects what it complains of, so that it never waits for somebody to read it.
fn complaints(child: &mut Child) -> JoinHandle<String> {
    let mut stream = child.stderr.take().expect("it was asked for");
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join("; ")
}
