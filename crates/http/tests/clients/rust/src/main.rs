//! A scripted session through the client that progenitor generates.

#![allow(clippy::all, missing_docs, reason = "most of it is generated")]

use reqwest::header::{AUTHORIZATION, HeaderMap};

progenitor::generate_api!(spec = "openapi.json", interface = Builder);

/// What an error says, if it is the server's.
async fn problem<T: std::fmt::Debug>(outcome: Result<T, Error<ByteStream>>) -> types::Problem {
    match outcome {
        Err(Error::ErrorResponse(response)) => {
            let mut body = response.into_inner_stream();
            let mut bytes = vec![];
            while let Some(chunk) = futures_util::StreamExt::next(&mut body).await {
                bytes.extend(chunk.unwrap());
            }
            serde_json::from_slice(&bytes).unwrap()
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let base = std::env::args().nth(1).expect("the URL of a server");
    let sign_in = types::SignIn::builder().login("ada").password("correct horse battery");
    let session = Client::new(&base).sign_in().body(sign_in).send().await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("Bearer {}", session.access_token.as_ref().unwrap()).parse().unwrap());
    let me = Client::new_with_client(&base, reqwest::Client::builder().default_headers(headers).build().unwrap());

    let workspace = me.create_workspace().body(types::NewWorkspace::builder().name("Rust")).send().await.unwrap();
    let project = types::NewProject::builder().name("From Rust");
    let project = me.create_project().workspace_id(workspace.id).body(project).send().await.unwrap();
    let boards = me.list_workflows().project_id(project.id).send().await.unwrap();
    let board = me.get_board().project_id(project.id).workflow(&*boards.items[0].slug).send().await.unwrap();
    let story = types::NewStory::builder().title("Written in Rust").status_id(board.statuses[0].id);
    let story = me.create_story().project_id(project.id).body(story).send().await.unwrap();
    assert_eq!(story.ref_, 1);

    let update = |title: &str, version: i64| {
        let patch = types::StoryPatch::builder().title(title.parse::<types::StoryPatchTitle>().unwrap()).version(version);
        me.update_story().project_id(project.id).ref_("1").body(patch)
    };
    let changed = update("Changed", story.version).send().await.unwrap();
    assert_eq!((changed.title.as_str(), changed.version), ("Changed", 2));
    assert_eq!(problem(update("Late", 1).send().await).await.code, "stale");

    let comment = types::NewComment::builder().body("Hello");
    me.create_comment().project_id(project.id).ref_("1").body(comment).send().await.unwrap();
    let comments = me.list_comments().project_id(project.id).ref_("1").send().await.unwrap();
    assert_eq!(comments.items.iter().map(|comment| comment.body.as_str()).collect::<Vec<_>>(), ["Hello"]);
    assert_eq!(problem(me.get_story().project_id(project.id).ref_("2").send().await).await.status, 404);
    println!("rust: ok");
}
