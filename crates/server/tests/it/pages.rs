//! Pages for administrators and the runbooks: their commands, as they stand there, against a running instance.

use std::path::{Path, PathBuf};

use crate::{installation::Installation, tour};

/// The top of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every runbook, by the name of its alert.
pub(crate) fn runbooks() -> Vec<(String, String)> {
    let files = std::fs::read_dir(repository().join("docs/runbooks")).unwrap();
    let page = |file: std::fs::DirEntry| {
        let name = file.file_name().into_string().unwrap();
        (name.trim_end_matches(".md").to_owned(), std::fs::read_to_string(file.path()).unwrap())
    };
    let mut pages: Vec<_> = files.map(|file| page(file.unwrap())).collect();
    pages.sort();
    pages
}

#[tokio::test]
async fn every_command_for_administrators_does_what_its_page_says() {
    if !tour::has_tools() {
        return;
    }
    let mut installation = Installation::new().await;
    installation.set("TENON__SERVER__LISTEN", "127.0.0.1:0");
    let units = [
        installation.start(&["serve", "--metrics-listen", "127.0.0.1:0"]),
        installation.start(&["scheduler"]),
    ];
    installation.set("TENON", &format!("http://{}", units[0].address()));
    installation.set("METRICS", &format!("http://{}", units[0].metrics()));
    let mut pages = runbooks();
    for page in ["maintenance", "observability"] {
        let path = repository().join(format!("docs/admin/{page}.md"));
        pages.push((page.to_owned(), std::fs::read_to_string(path).unwrap()));
    }
    let mut lines = 0;
    for (_, page) in &pages {
        let script = tour::commands(page);
        lines += script.lines().count();
        tour::run(&script, installation.dir(), installation.environment());
    }
    assert!(lines > 20, "the pages have commands");
    assert_eq!(installation.tenon(&["maintenance", "status"]), "Maintenance is off.");
    for unit in units {
        unit.stop();
    }
    installation.end().await;
}
