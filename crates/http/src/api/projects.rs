//! Projects, and the templates they are made from.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tenon_app::projects;
use tenon_core::{
    ids::WorkspaceId,
    projects::{
        NewProject, ProjectDescription, ProjectFilter, ProjectKey, ProjectName, ProjectPatch, ProjectWithRole,
    },
    templates::{Template, TemplateStatus},
    text::Color,
    tokens::Scope,
};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{project_roles::ProjectRoleView, workflows::ProjectPath, workspaces::WorkspacePath};
use crate::{
    endpoint::{
        Api, Body, Caller, Created, Ctx, Given, IfMatch, Json, NoContent, Page, Patch, Path, Query,
        Versioned,
        methods::{Delete, Get, Patch as PatchMethod, Post},
    },
    paging::{self, Paging},
    problem::Problem,
};

pub(super) fn mount(api: &mut Api) {
    let mut group = api
        .group("projects", "Projects: boards, stories and the people who work on them.")
        .scopes(Scope::ReadProjects, Scope::WriteProjects);
    group
        .op("list_my_projects", Get, "/me/projects", "Projects you are in, over all workspaces", list_mine)
        .describe("Oldest first. With `trashed=true`, those in the trash instead.");
    group
        .op(
            "list_projects",
            Get,
            "/workspaces/{workspace_id}/projects",
            "Projects of a workspace that you are in",
            list,
        )
        .describe("Oldest first. With `trashed=true`, those in the trash instead.");
    group
        .op("create_project", Post, "/workspaces/{workspace_id}/projects", "Make a project", create)
        .describe(
            "It begins with the board of its `template` and with four roles, and you own it. Without a `key`, one is suggested by its name.",
        )
        .conflicts(&["key-taken"])
        .permission("create_project");
    group.op("get_project", Get, "/projects/{project_id}", "A project", get);
    group
        .op("update_project", PatchMethod, "/projects/{project_id}", "Change a project", update)
        .describe("`archived` makes the project read-only, or ends that: while it is archived, nothing else of it can be changed. A new `key` ends the old addresses of its stories.")
        .conflicts(&["key-taken"])
        .permission("modify_project");
    group
        .op("delete_project", Delete, "/projects/{project_id}", "Move a project to the trash", delete)
        .permission("delete_project");
    group
        .op(
            "restore_project",
            Post,
            "/projects/{project_id}/restore",
            "Take a project back from the trash",
            restore,
        )
        .describe("One that is not in the trash stays as it is.")
        .permission("delete_project");
    group.op("list_templates", Get, "/templates", "What projects can be made from", list_templates);
}

/// A project, and your place in it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Project)]
pub(crate) struct ProjectView {
    /// Id.
    #[schema(example = "01993c5e-7c1f-7d5e-9b42-9f1f6c1f0c01")]
    id: Uuid,
    /// Workspace it belongs to.
    workspace_id: Uuid,
    /// Name.
    #[schema(example = "Punched cards")]
    name: String,
    /// What it is about.
    #[schema(example = "Everything between the loom and the mill.")]
    description: String,
    /// Shade, 1 to 20.
    #[schema(minimum = 1, maximum = 20, example = 9)]
    color: i16,
    /// What stands before its stories' numbers.
    #[schema(example = "PC")]
    key: String,
    /// Your role, with what you may do.
    role: ProjectRoleView,
    /// How many people are in it.
    #[schema(example = 5)]
    members: i64,
    /// Made at.
    created_at: DateTime<Utc>,
    /// Put aside at; null when it is not.
    archived_at: Option<DateTime<Utc>>,
    /// Moved to the trash at; null when it is not there.
    deleted_at: Option<DateTime<Utc>>,
    /// Increases with every change.
    version: i64,
}

impl From<ProjectWithRole> for ProjectView {
    fn from(view: ProjectWithRole) -> Self {
        let p = view.project;
        Self {
            id: p.id.uuid(),
            workspace_id: p.workspace_id.uuid(),
            name: p.name.into(),
            description: p.description.into(),
            color: p.color.get(),
            key: p.key.into(),
            role: view.role.into(),
            members: view.members,
            created_at: p.created_at,
            archived_at: p.archived_at,
            deleted_at: p.deleted_at,
            version: p.version,
        }
    }
}

impl Versioned for ProjectView {
    fn version(&self) -> i64 {
        self.version
    }
}

/// What a project can be made from.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Template)]
pub(crate) struct TemplateView {
    /// Stable word.
    #[schema(example = "kanban")]
    slug: String,
    /// Name.
    #[schema(example = "Kanban")]
    name: String,
    /// What it is for.
    #[schema(example = "A board of columns; stories move from left to right.")]
    description: String,
    /// Name of its board.
    #[schema(example = "Main")]
    workflow: String,
    /// Columns of its board.
    statuses: Vec<TemplateStatusView>,
}

/// A column of a template.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TemplateStatus)]
pub(crate) struct TemplateStatusView {
    /// Name.
    #[schema(example = "In progress")]
    name: String,
    /// Shade, 1 to 20.
    #[schema(minimum = 1, maximum = 20, example = 3)]
    color: i16,
    /// What being in it means: `todo`, `doing` or `done`.
    #[schema(example = "doing")]
    category: &'static str,
}

impl From<TemplateStatus> for TemplateStatusView {
    fn from(s: TemplateStatus) -> Self {
        Self { name: s.name, color: s.color, category: s.category.as_str() }
    }
}

impl From<Template> for TemplateView {
    fn from(t: Template) -> Self {
        Self {
            slug: t.slug,
            name: t.name,
            description: t.description,
            workflow: t.workflow,
            statuses: t.statuses.into_iter().map(Into::into).collect(),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ProjectQuery {
    /// Only those put aside, or only those that are not; all when absent.
    archived: Option<bool>,
    /// Those in the trash instead of those that are not.
    #[param(default = false)]
    trashed: Option<bool>,
}

impl ProjectQuery {
    fn filter(&self, workspace: Option<WorkspaceId>) -> ProjectFilter {
        ProjectFilter { workspace, archived: self.archived, trashed: self.trashed.unwrap_or(false) }
    }
}

/// A wish for a project.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewProject)]
struct NewProjectBody {
    /// Name.
    #[schema(value_type = String, min_length = 1, max_length = 80, example = "Punched cards")]
    name: ProjectName,
    /// What it is about.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 220, example = "Everything between the loom and the mill.")]
    description: Option<ProjectDescription>,
    /// Shade, 1 to 20; chosen when absent.
    #[serde(default)]
    #[schema(value_type = Option<i16>, minimum = 1, maximum = 20, example = 9)]
    color: Option<Color>,
    /// What stands before its stories' numbers: 2 to 6 letters; suggested by the name when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 2, max_length = 6, example = "PC")]
    key: Option<ProjectKey>,
    /// Slug of the template; `kanban` when absent.
    #[serde(default = "kanban")]
    #[schema(default = "kanban", max_length = 80, example = "kanban")]
    template: String,
}

fn kanban() -> String {
    "kanban".to_owned()
}

/// A changed project; absent fields stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProjectPatch)]
struct ProjectPatchBody {
    /// New name.
    #[serde(default)]
    #[schema(value_type = String, min_length = 1, max_length = 80, example = "Cards")]
    name: Given<ProjectName>,
    /// New description.
    #[serde(default)]
    #[schema(value_type = String, max_length = 220, example = "From the loom to the mill.")]
    description: Given<ProjectDescription>,
    /// New shade, 1 to 20.
    #[serde(default)]
    #[schema(value_type = i16, minimum = 1, maximum = 20, example = 10)]
    color: Given<Color>,
    /// New key.
    #[serde(default)]
    #[schema(value_type = String, min_length = 2, max_length = 6, example = "CARDS")]
    key: Given<ProjectKey>,
    /// Put aside, or taken back.
    #[serde(default)]
    #[schema(value_type = bool, example = true)]
    archived: Given<bool>,
    /// The version you have seen, when there is no `If-Match`.
    #[serde(default)]
    #[schema(value_type = i64)]
    version: Given<i64>,
}

async fn list_mine(
    ctx: Ctx,
    caller: Caller,
    Query(query): Query<ProjectQuery>,
    Query(paging): Query<Paging>,
) -> Result<Page<ProjectView>, Problem> {
    let page = paging.page(&ctx, "projects")?;
    let (items, total) =
        projects::list(&ctx, &caller, query.filter(None), page, paging.wants_count()).await?;
    Ok(paging::answer(&ctx, "projects", items)?.with_total(total))
}

async fn list(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<WorkspacePath>,
    Query(query): Query<ProjectQuery>,
    Query(paging): Query<Paging>,
) -> Result<Page<ProjectView>, Problem> {
    let page = paging.page(&ctx, "projects")?;
    let filter = query.filter(Some(p.workspace_id.into()));
    let (items, total) = projects::list(&ctx, &caller, filter, page, paging.wants_count()).await?;
    Ok(paging::answer(&ctx, "projects", items)?.with_total(total))
}

async fn create(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<WorkspacePath>,
    Body(new): Body<NewProjectBody>,
) -> Result<Created<ProjectView>, Problem> {
    let description = match new.description {
        Some(description) => description,
        None => ProjectDescription::parse("").map_err(Problem::internal)?,
    };
    let new =
        NewProject { name: new.name, description, color: new.color, key: new.key, template: new.template };
    let made = projects::create(&ctx, &caller, p.workspace_id.into(), new).await?;
    Ok(Created::at(format!("/projects/{}", made.project.id), made.into()))
}

async fn get(ctx: Ctx, caller: Caller, Path(p): Path<ProjectPath>) -> Result<Json<ProjectView>, Problem> {
    Ok(Json(projects::get(&ctx, &caller, p.project_id.into()).await?.into()))
}

async fn update(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<ProjectPath>,
    seen: IfMatch,
    Patch(patch): Patch<ProjectPatchBody>,
) -> Result<Json<ProjectView>, Problem> {
    let expected = seen.or(patch.version.into_option());
    let patch = ProjectPatch {
        name: patch.name.into_option(),
        description: patch.description.into_option(),
        color: patch.color.into_option(),
        key: patch.key.into_option(),
        archived: patch.archived.into_option(),
    };
    Ok(Json(projects::patch(&ctx, &caller, p.project_id.into(), expected, patch).await?.into()))
}

async fn delete(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<ProjectPath>,
    seen: IfMatch,
) -> Result<NoContent, Problem> {
    projects::delete(&ctx, &caller, p.project_id.into(), seen.version()).await?;
    Ok(NoContent)
}

async fn restore(ctx: Ctx, caller: Caller, Path(p): Path<ProjectPath>) -> Result<Json<ProjectView>, Problem> {
    Ok(Json(projects::restore(&ctx, &caller, p.project_id.into()).await?.into()))
}

async fn list_templates(ctx: Ctx, caller: Caller) -> Result<Page<TemplateView>, Problem> {
    let templates = projects::templates(&ctx, &caller).await?;
    Ok(Page::new(templates.into_iter().map(Into::into).collect(), None))
}
