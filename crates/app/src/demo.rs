//! A believable instance to look at and to measure: people, workspaces, boards full of stories, comments, files.
//!
//! The same each time, but for ids and instants. It is written as people would write it, through the log and with
//! gapless numbers, only many stories to a write; nothing is mailed.

mod words;

use futures_util::{StreamExt, stream};
use tenon_core::{
    Error, Result,
    attachments::FileName,
    changes::{Change, Kind, Stream},
    comments::{Comment, CommentBody},
    emails::Email,
    ids::{AttachmentId, ProjectId, StatusId, StoryId, UserId, WorkflowId},
    ports::blob::Key,
    projects::{NewProject, Project, ProjectDescription, ProjectKey, ProjectName},
    rank,
    roles::{ProjectRole, WorkspaceRole},
    secrets::{NewPassword, Secret},
    statuses::{Category, Status},
    stories::{Story, StoryDescription, StoryTitle},
    templates::{self, Template, TemplateStatus},
    text::TextError,
    users::{FullName, NewAccount, PersonRef, Timezone, Username},
    workspaces::{NewWorkspace, Workspace, WorkspaceName},
};
use tenon_db::{attachments, comments, project_roles, statuses, stories, workflows as boards};

use self::words::Dice;
use crate::{App, Tx, accounts, crypto, passwords, project_members, projects, workspace_members, workspaces};

const CORRELATION: &str = "demo-data";
/// Stories, or comments, that are written at once.
const BATCH: usize = 50;
/// Columns of the widest board.
const COLUMNS: usize = 40;

/// What was made.
#[derive(Debug, Clone)]
pub struct Made {
    /// Who can sign in, the owner of it all first.
    pub people: Vec<PersonRef>,
    /// Their common password.
    pub password: Secret,
    /// Workspaces.
    pub workspaces: usize,
    /// Projects: key, name and number of stories.
    pub projects: Vec<(String, String, usize)>,
    /// Comments.
    pub comments: usize,
    /// Files.
    pub files: usize,
}

/// A project to be made.
struct Plan {
    workspace: usize,
    name: &'static str,
    description: &'static str,
    key: &'static str,
    template: Template,
    stories: usize,
}

/// Fills an instance. Refuses one that has workspaces (`not-empty`), unless `force`; `host`, when given, owns the
/// workspaces beside the people made here.
pub async fn fill(app: &App, host: Option<UserId>, force: bool) -> Result<Made> {
    if !force && tenon_db::workspaces::any(&mut *app.read().await?).await? {
        let detail = "There are workspaces already; demonstration data would mix with what people wrote.";
        return Err(Error::conflict("not-empty", detail));
    }
    let secret = crypto::random_token(app.random());
    let password = NewPassword::parse(&secret).map_err(text)?;
    let people = make_people(app, &password).await?;
    let mut homes = Vec::new();
    for (number, name) in words::WORKSPACES.into_iter().enumerate() {
        homes.push(make_workspace(app, name, number, &people, host).await?);
    }
    let mut dice = Dice::new(1);
    let mut made = Made {
        people: people.clone(),
        password: Secret::new(secret),
        workspaces: homes.len(),
        projects: Vec::new(),
        comments: 0,
        files: 0,
    };
    for plan in plans() {
        let board = make_project(app, &plan, &homes[plan.workspace], &people, host).await?;
        let written = write_stories(app, &board, plan.stories, &people, &mut dice).await?;
        made.comments += write_comments(app, &board, &written, &people, &mut dice).await?;
        made.files += attach_files(app, &board, &written, &people).await?;
        made.projects.push((plan.key.to_owned(), plan.name.to_owned(), written.len()));
    }
    Ok(made)
}

fn plans() -> Vec<Plan> {
    let of = |slug: &str| {
        let found = templates::builtin().into_iter().find(|template| template.slug == slug);
        found.expect("one of the built-in templates")
    };
    let plan = |workspace, name, description, key, template, stories| Plan {
        workspace,
        name,
        description,
        key,
        template,
        stories,
    };
    vec![
        plan(
            0,
            "Aurora",
            "The web shop: what customers see, and what packs their parcels.",
            "AUR",
            of("kanban"),
            1000,
        ),
        plan(0, "Harbour", "Moving every warehouse to the new system, step by step.", "HAR", wide(), 2000),
        plan(0, "Lighthouse", "The two-week rhythm of the platform team.", "LIG", of("scrum"), 60),
        plan(1, "Field notes", "What we learn when we watch people work.", "FIE", of("kanban"), 40),
        plan(2, "Garden", "The office, its plants and its coffee.", "GAR", of("blank"), 12),
    ]
}

/// Sites in rows of steps, as wide as boards get.
fn wide() -> Template {
    let steps = [
        ("plan", Category::Todo),
        ("pack", Category::Doing),
        ("move", Category::Doing),
        ("done", Category::Done),
    ];
    let columns = words::SITES.into_iter().flat_map(|site| {
        steps.into_iter().map(move |(step, category)| (format!("{site}: {step}"), category))
    });
    let statuses = (0_i16..).zip(columns.take(COLUMNS)).map(|(number, (name, category))| TemplateStatus {
        name,
        color: number % 20 + 1,
        category,
    });
    Template {
        slug: "sites".to_owned(),
        name: "Sites".to_owned(),
        description: "Four steps for each site.".to_owned(),
        workflow: "Sites".to_owned(),
        statuses: statuses.collect(),
    }
}

async fn make_people(app: &App, password: &NewPassword) -> Result<Vec<PersonRef>> {
    // They share a password, so hashing it once says no less.
    let hash = passwords::hash(app, password.expose()).await?;
    app.write(&[], CORRELATION, async |tx| {
        let mut people = Vec::with_capacity(words::PEOPLE.len());
        for (name, lang, timezone) in words::PEOPLE {
            let handle = words::handle(name);
            let wish = NewAccount {
                email: Email::parse(&format!("{handle}@demo.example")).map_err(text)?,
                username: Some(Username::parse(&handle).map_err(text)?),
                full_name: FullName::parse(name).map_err(text)?,
                password: None,
                lang,
                timezone: Timezone::parse(timezone).map_err(text)?,
                is_admin: false,
            };
            let now = tx.now();
            let draft = accounts::Draft {
                email: wish.email.clone(),
                username: wish.username.clone(),
                password_hash: Some(hash.clone()),
                accepted_at: Some(now),
                verified_at: Some(now),
                is_admin: false,
            };
            people.push(accounts::insert(tx, draft, &wish).await?.as_ref());
        }
        Ok(people)
    })
    .await
}

/// The first has everybody in it, later ones fewer.
async fn make_workspace(
    app: &App,
    name: &str,
    number: usize,
    people: &[PersonRef],
    host: Option<UserId>,
) -> Result<Workspace> {
    let new = NewWorkspace { name: WorkspaceName::parse(name).map_err(text)?, color: None };
    let members = members(number, people);
    let streams: Vec<Stream> =
        members.iter().map(|person| person.id).chain(host).map(Stream::Person).collect();
    app.write(&streams, CORRELATION, async |tx| {
        tx.act_as(members[0].clone());
        let workspace = workspaces::make(tx, members[0].id, &new).await?;
        for (at, person) in members.iter().enumerate().skip(1) {
            let role = match at {
                1 | 2 => WorkspaceRole::Admin,
                _ if at.is_multiple_of(7) => WorkspaceRole::ReadonlyMember,
                _ => WorkspaceRole::Member,
            };
            workspace_members::join(tx, &workspace, person.id, role).await?;
        }
        if let Some(host) = host {
            workspace_members::join(tx, &workspace, host, WorkspaceRole::Owner).await?;
        }
        Ok(workspace)
    })
    .await
}

fn members(workspace: usize, people: &[PersonRef]) -> &[PersonRef] {
    &people[..people.len() / (workspace + 1)]
}

/// A project's only board.
struct Board {
    project: Project,
    workflow: WorkflowId,
    columns: Vec<Status>,
    members: usize,
}

async fn make_project(
    app: &App,
    plan: &Plan,
    home: &Workspace,
    people: &[PersonRef],
    host: Option<UserId>,
) -> Result<Board> {
    let new = NewProject {
        name: ProjectName::parse(plan.name).map_err(text)?,
        description: ProjectDescription::parse(plan.description).map_err(text)?,
        color: None,
        key: Some(ProjectKey::parse(plan.key).map_err(text)?),
        template: plan.template.slug.clone(),
    };
    let members = members(plan.workspace, people);
    let streams: Vec<Stream> = members
        .iter()
        .map(|person| Stream::Person(person.id))
        .chain(host.map(Stream::Person))
        .chain([Stream::Workspace(home.id)])
        .collect();
    app.write(&streams, CORRELATION, async |tx| {
        tx.act_as(members[0].clone());
        let (project, owner) = projects::make(tx, members[0].id, home.id, &new, &plan.template).await?;
        let roles = project_roles::of_project(tx.conn(), project.id).await?;
        let role = |slug: &str| -> Result<&ProjectRole> {
            roles.iter().find(|role| role.slug == slug).ok_or(Error::NotFound("role"))
        };
        for (at, person) in members.iter().enumerate().skip(1) {
            let slug = match at {
                1 => "admin",
                _ if at.is_multiple_of(7) => "readonly-member",
                _ => "member",
            };
            project_members::join(tx, &project, person.id, role(slug)?.id).await?;
        }
        if let Some(host) = host {
            project_members::join(tx, &project, host, owner.id).await?;
        }
        let board = boards::of_project(tx.conn(), project.id).await?;
        let workflow = board.first().ok_or(Error::NotFound("workflow"))?.id;
        let columns = statuses::of_workflow(tx.conn(), workflow).await?;
        Ok(Board { project, workflow, columns, members: members.len() })
    })
    .await
}

async fn write_stories(
    app: &App,
    board: &Board,
    count: usize,
    people: &[PersonRef],
    dice: &mut Dice,
) -> Result<Vec<StoryId>> {
    let mut last: Vec<Option<String>> = vec![None; board.columns.len()];
    let mut written = Vec::with_capacity(count);
    while written.len() < count {
        let author = &people[writer(dice, board.members)];
        let drafts: Vec<Draft> = (written.len()..count)
            .take(BATCH)
            .map(|_| {
                let column = dice.below(board.columns.len());
                let rank = rank::after(last[column].as_deref());
                last[column] = Some(rank.clone());
                let (title, description) = dice.story();
                Draft { status: board.columns[column].id, rank, title, description }
            })
            .collect();
        written.extend(write_batch(app, board, author, drafts).await?);
    }
    Ok(written)
}

/// Somebody who may write: every seventh only reads.
fn writer(dice: &mut Dice, members: usize) -> usize {
    let at = dice.below(members);
    if at.is_multiple_of(7) { 0 } else { at }
}

struct Draft {
    status: StatusId,
    rank: String,
    title: String,
    description: String,
}

async fn write_batch(
    app: &App,
    board: &Board,
    author: &PersonRef,
    drafts: Vec<Draft>,
) -> Result<Vec<StoryId>> {
    let project = board.project.id;
    app.write(&[Stream::Project(project)], CORRELATION, async |tx| {
        tx.act_as(author.clone());
        let count = i64::try_from(drafts.len()).map_err(Error::internal)?;
        let first = stories::take_numbers(tx.conn(), project, count).await?;
        let mut ids = Vec::with_capacity(drafts.len());
        for (number, draft) in (first..).zip(&drafts) {
            let story = Story {
                id: tx.app().id(),
                project_id: project,
                key: board.project.key.as_str().to_owned(),
                number,
                title: StoryTitle::parse(&draft.title).map_err(text)?,
                description: StoryDescription::parse(&draft.description).map_err(text)?,
                workflow_id: board.workflow,
                status_id: draft.status,
                rank: draft.rank.clone(),
                version: 1,
                created_by: Some(author.clone()),
                created_at: tx.now(),
                title_updated: None,
                description_updated: None,
                moved: None,
                deleted_at: None,
            };
            let row = stories::Insert {
                id: story.id,
                project,
                number,
                title: &story.title,
                description: &story.description,
                workflow: story.workflow_id,
                status: story.status_id,
                rank: &story.rank,
                author: author.id,
                at: story.created_at,
            };
            stories::insert(tx.conn(), &row).await?;
            tx.record(Stream::Project(project), Change::new(Kind::StoryCreated, story.id, &story))?;
            ids.push(story.id);
        }
        Ok(ids)
    })
    .await
}

/// As many as there are stories: some have several, most have none.
async fn write_comments(
    app: &App,
    board: &Board,
    written: &[StoryId],
    people: &[PersonRef],
    dice: &mut Dice,
) -> Result<usize> {
    let stream = Stream::Project(board.project.id);
    let mut count = 0;
    while count < written.len() {
        let author = &people[writer(dice, board.members)];
        let batch: Vec<(StoryId, String)> = (count..written.len())
            .take(BATCH)
            .map(|_| (written[dice.lopsided(written.len())], dice.comment()))
            .collect();
        count += batch.len();
        app.write(&[stream], CORRELATION, async |tx| {
            tx.act_as(author.clone());
            for (story, body) in &batch {
                let body = CommentBody::parse(body).map_err(text)?;
                let comment = Comment {
                    id: tx.app().id(),
                    story_id: *story,
                    body: body.as_str().to_owned(),
                    created_by: Some(author.clone()),
                    created_at: tx.now(),
                    edited_at: None,
                    deleted_at: None,
                    version: 1,
                };
                let at = comment.created_at;
                comments::insert(tx.conn(), comment.id, *story, &body, author.id, at).await?;
                tx.record(stream, Change::new(Kind::CommentCreated, *story, &comment))?;
            }
            Ok(())
        })
        .await?;
    }
    Ok(count)
}

/// One to every fiftieth story.
async fn attach_files(app: &App, board: &Board, written: &[StoryId], people: &[PersonRef]) -> Result<usize> {
    let mut count = 0;
    for (number, story) in written.iter().step_by(BATCH).enumerate() {
        let (name, content) = words::file(number);
        let author = &people[1 + number % 5];
        attach(app, board.project.id, *story, author, &name, content).await?;
        count += 1;
    }
    Ok(count)
}

async fn attach(
    app: &App,
    project: ProjectId,
    story: StoryId,
    author: &PersonRef,
    name: &str,
    content: String,
) -> Result<()> {
    let id: AttachmentId = app.id();
    let name = FileName::parse(name).map_err(text)?;
    let blob_key = format!("attachments/{id}");
    let key = Key::parse(&blob_key).map_err(Error::internal)?;
    let body = stream::iter([Ok(content.into())]).boxed();
    let stored = crate::attachments::store(app, &key, body).await?;
    app.write(&[Stream::Project(project)], CORRELATION, async |tx: &mut Tx<'_>| {
        tx.act_as(author.clone());
        let row = attachments::Insert {
            id,
            story,
            name: &name,
            media_type: &stored.media_type,
            blob_key: &blob_key,
            size: stored.size,
            sha256: &stored.sha256,
            author: author.id,
            at: tx.now(),
        };
        attachments::insert(tx.conn(), &row).await?;
        let file = attachments::find(tx.conn(), story, id).await?.ok_or(Error::NotFound("attachment"))?;
        tx.record(Stream::Project(project), Change::new(Kind::AttachmentCreated, story, &file))
    })
    .await
}

fn text(error: TextError) -> Error {
    Error::internal(error)
}
