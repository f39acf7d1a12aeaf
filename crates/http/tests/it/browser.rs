//! The pages in a real browser: headless Chromium, when there is one.

use std::path::PathBuf;

use tokio::process::Command;

use crate::harness::{app::TestApp, socket::Served};

/// The browser of this machine, if it has one.
#[expect(clippy::disallowed_methods, reason = "a test asks the machine what there is")]
fn browser() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).flat_map(|dir| names.map(|name| dir.join(name))).find(|p| p.is_file());
    if found.is_none() {
        tenon_testkit::services::skip("there is no Chromium");
    }
    found
}

/// The page as it stands after its scripts have run, and what the console said.
async fn visit(browser: PathBuf, url: &str) -> (String, String) {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--virtual-time-budget=10000", "--enable-logging=stderr", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url)
        .output()
        .await
        .unwrap();
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn l22_the_reference_renders_in_a_browser_under_its_own_policy() {
    let Some(browser) = browser() else { return };
    let app = TestApp::new().await;
    let served = Served::start(&app);
    let (page, console) = visit(browser, &format!("http://{}/api/docs", served.address)).await;
    for operation in &app.operations {
        assert!(page.contains(operation.path), "{} is not on the page", operation.path);
    }
    let refused: Vec<&str> = console
        .lines()
        .filter(|line| {
            line.contains("CONSOLE")
                && (line.contains("Refused") || line.contains("Error") || line.contains("violates"))
        })
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailed_link_leads_to_a_page_that_can_use_it() {
    let Some(browser) = browser() else { return };
    let app = TestApp::new().await;
    let served = Served::start(&app);
    for (page, shown) in [
        ("verify-email", "Verify my address"),
        ("reset-password", "New password"),
        ("change-email", "I consent"),
        ("claim", "Your name"),
        // One that never was, or is over, says so at once.
        ("invitation", "was taken back"),
    ] {
        let url = format!("http://{}/#/{page}/abc", served.address);
        let (page, console) = visit(browser.clone(), &url).await;
        assert!(page.contains(shown), "{page}");
        assert!(!console.contains("Refused to"), "{console}");
    }
}
