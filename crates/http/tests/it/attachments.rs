//! Files attached to stories.

use serde_json::json;

use crate::harness::{
    app::{Actor, TestApp},
    call::Call,
};

async fn story(app: &TestApp, ada: &Actor) -> String {
    let place = app.project_of(ada).await;
    ada.post(&place.url("/stories"), json!({ "title": "a", "status_id": place.columns[0] }))
        .expect(201)
        .await;
    format!("{}/attachments", place.story(1))
}

fn upload(who: &Actor, url: &str, name: &str, bytes: &[u8]) -> Call {
    who.call("POST", &format!("{url}?name={name}")).bytes("application/octet-stream", bytes)
}

#[tokio::test]
async fn a_file_comes_back_byte_by_byte_and_in_ranges() {
    let (app, ada) = TestApp::with_user("ada").await;
    let url = story(&app, &ada).await;
    let bytes: Vec<u8> = (0..100_000_u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
    let made = upload(&ada, &url, "data.bin", &bytes).expect(201).await;
    let file = made.json();
    assert_eq!((&file["size"], &file["name"]), (&json!(100_000), &json!("data.bin")));
    let content = format!("{url}/{}/content", file["id"].as_str().unwrap());
    let whole = ada.get(&content).expect(200).await;
    assert_eq!(whole.body, bytes);
    assert_eq!(
        whole.header("content-disposition"),
        "attachment; filename=\"data.bin\"; filename*=UTF-8''data.bin"
    );
    assert!(whole.header("content-security-policy").contains("sandbox"));
    let part = ada.get(&content).header("range", "bytes=10-19").expect(206).await;
    assert_eq!(part.body, bytes[10..20]);
    ada.get(&content).header("range", "bytes=100000-").expect(416).await;
    ada.get(&content).header("if-none-match", whole.etag()).expect(304).await;
}

#[tokio::test]
async fn a_type_is_told_by_content_not_by_the_client() {
    let (app, ada) = TestApp::with_user("ada").await;
    let url = story(&app, &ada).await;
    let page = b"<html><script>alert(1)</script></html>";
    let made = ada
        .call("POST", &format!("{url}?name=innocent.png"))
        .bytes("image/png", page)
        .expect(201)
        .await
        .json();
    assert_ne!(made["media_type"], "image/png");
    let content = format!("{url}/{}/content?inline=true", made["id"].as_str().unwrap());
    assert!(ada.get(&content).expect(200).await.header("content-disposition").starts_with("attachment"));
}

#[tokio::test]
async fn a_file_over_the_limit_leaves_nothing() {
    let app = TestApp::with(|settings| settings.attachment_bytes = 1000).await;
    let ada = app.user("ada").await;
    let url = story(&app, &ada).await;
    upload(&ada, &url, "big", &[1; 1001]).expect(413).await;
    upload(&ada, &url, "fits", &[1; 1000]).expect(201).await;
    let list = ada.get(&url).expect(200).await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(count_files(app.files()), 1);
}

#[tokio::test]
async fn a_removed_file_is_not_found_but_its_bytes_stay_for_the_backup_window() {
    let (app, ada) = TestApp::with_user("ada").await;
    let url = story(&app, &ada).await;
    let made = upload(&ada, &url, "a.txt", b"hello").expect(201).await.json();
    let one = format!("{url}/{}", made["id"].as_str().unwrap());
    assert_eq!(made["media_type"], "text/plain");
    ada.delete(&one).expect(204).await;
    ada.get(&one).expect(404).await;
    ada.delete(&one).expect(404).await;
    assert_eq!(count_files(app.files()), 1);
}

#[tokio::test]
async fn a_file_has_a_name_and_is_no_form() {
    let (app, ada) = TestApp::with_user("ada").await;
    let url = story(&app, &ada).await;
    let nameless = ada.call("POST", &url).bytes("application/octet-stream", b"x").expect(422).await;
    assert_eq!(nameless.fault(), "name missing");
    upload(&ada, &url, "..", b"x").expect(422).await;
    let form = ada.call("POST", &format!("{url}?name=a")).bytes("multipart/form-data; boundary=x", b"--x--");
    form.expect(415).await;
    let path = upload(&ada, &url, "C:%5Cdocs%5Cplan.txt", b"x").expect(201).await.json();
    assert_eq!(path["name"], "plan.txt");
    let empty = upload(&ada, &url, "empty", b"").expect(201).await.json();
    assert_eq!(empty["size"], 0);
}

fn count_files(directory: &std::path::Path) -> usize {
    std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { count_files(&path) } else { 1 })
        .sum()
}
