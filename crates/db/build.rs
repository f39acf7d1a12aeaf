//! Writes down which migrations are embedded in this crate, with the SHA-256 of each, and builds it anew when one
//! changes.

use std::{env, error::Error, fmt::Write, fs, path::Path};

use sha2::{Digest, Sha256};

const MIGRATIONS: &str = "../../migrations";

#[expect(clippy::disallowed_methods, reason = "cargo says where to write in no other way")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={MIGRATIONS}");
    let mut texts = Vec::new();
    for entry in fs::read_dir(MIGRATIONS)? {
        let folder = entry?.path();
        let name = folder.file_name().and_then(|name| name.to_str()).ok_or("a migration has a name")?;
        // As diesel does.
        let version = name.split('_').next().unwrap_or_default().replace('-', "");
        texts.push((version, Sha256::digest(fs::read(folder.join("up.sql"))?)));
    }
    texts.sort();
    let mut code = String::from("&[\n");
    for (version, sha256) in texts {
        writeln!(code, "    (\"{version}\", \"{sha256:x}\"),")?;
    }
    code.push(']');
    fs::write(Path::new(&env::var("OUT_DIR")?).join("migrations.rs"), code)?;
    Ok(())
}
