//! Stories.

use diesel::{prelude::*, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{
    Time,
    ids::{ProjectId, StatusId, StoryId, UserId, WorkflowId},
    page::{Items, Page, TimeKey},
    stories::{Story, StoryDescription, StorySummary, StoryTitle, Touch},
    users::PersonRef,
};
use uuid::Uuid;

use crate::{error::Result, schema::stories, sql::sql};

/// Takes the next `count` numbers of a project; answers the first. The caller holds the project's lock.
pub async fn take_numbers(conn: &mut AsyncPgConnection, project: ProjectId, count: i64) -> Result<i64> {
    let row: NumberRow = sql(
        "UPDATE projects SET last_ref = last_ref + $2 WHERE id = $1 RETURNING last_ref - $2 + 1 AS number",
    )
    .bind::<st::Uuid, _>(project.uuid())
    .bind::<st::BigInt, _>(count)
    .get_result(conn)
    .await?;
    Ok(row.number)
}

#[derive(QueryableByName)]
struct NumberRow {
    #[diesel(sql_type = st::BigInt)]
    number: i64,
}

/// A story to be written.
#[derive(Debug)]
pub struct Insert<'a> {
    /// Id.
    pub id: StoryId,
    /// Project.
    pub project: ProjectId,
    /// Number in the project.
    pub number: i64,
    /// Title.
    pub title: &'a StoryTitle,
    /// Markdown.
    pub description: &'a StoryDescription,
    /// Board.
    pub workflow: WorkflowId,
    /// Column.
    pub status: StatusId,
    /// Order in the column.
    pub rank: &'a str,
    /// Who writes it.
    pub author: UserId,
    /// When.
    pub at: Time,
}

/// Adds a story.
pub async fn insert(conn: &mut AsyncPgConnection, new: &Insert<'_>) -> Result<()> {
    diesel::insert_into(stories::table)
        .values((
            stories::id.eq(new.id.uuid()),
            stories::project_id.eq(new.project.uuid()),
            stories::number.eq(new.number),
            stories::title.eq(new.title.as_str()),
            stories::description.eq(new.description.as_str()),
            stories::workflow_id.eq(new.workflow.uuid()),
            stories::status_id.eq(new.status.uuid()),
            stories::rank.eq(new.rank),
            stories::created_by.eq(new.author.uuid()),
            stories::created_at.eq(new.at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// The versions at which each group of fields last changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupVersions {
    /// The title.
    pub title: i64,
    /// The description.
    pub description: i64,
    /// Board, column and rank.
    pub place: i64,
}

/// A story with what a stale write is judged by.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The story.
    pub story: Story,
    /// When its groups changed.
    pub groups: GroupVersions,
}

macro_rules! select_story {
    ($rest:literal) => {
        concat!(
            "SELECT s.id, s.project_id, p.key, s.ref AS number, s.title, s.description, s.workflow_id, s.status_id, s.rank, s.version,
                    s.title_version, s.description_version, s.place_version, s.created_at, s.deleted_at,
                    c.id AS c_id, c.username AS c_username, c.full_name AS c_full_name, c.color AS c_color,
                    s.title_updated_at AS t_at, t.id AS t_id, t.username AS t_username, t.full_name AS t_full_name, t.color AS t_color,
                    s.description_updated_at AS d_at, d.id AS d_id, d.username AS d_username, d.full_name AS d_full_name, d.color AS d_color,
                    s.moved_at AS m_at, m.id AS m_id, m.username AS m_username, m.full_name AS m_full_name, m.color AS m_color
             FROM stories s JOIN projects p ON p.id = s.project_id
             LEFT JOIN users c ON c.id = s.created_by LEFT JOIN users t ON t.id = s.title_updated_by
             LEFT JOIN users d ON d.id = s.description_updated_by LEFT JOIN users m ON m.id = s.moved_by
             WHERE ",
            $rest
        )
    };
}

/// A story of a project by its number; one in the trash is found too.
pub async fn find(conn: &mut AsyncPgConnection, project: ProjectId, number: i64) -> Result<Option<Stored>> {
    let rows: Vec<StoryRow> = sql(select_story!("s.project_id = $1 AND s.ref = $2"))
        .bind::<st::Uuid, _>(project.uuid())
        .bind::<st::BigInt, _>(number)
        .load(conn)
        .await?;
    Ok(rows.into_iter().next().map(StoryRow::into_stored))
}

/// A story by its id; one in the trash is found too.
pub async fn find_by_id(conn: &mut AsyncPgConnection, id: StoryId) -> Result<Option<Stored>> {
    let rows: Vec<StoryRow> =
        sql(select_story!("s.id = $1")).bind::<st::Uuid, _>(id.uuid()).load(conn).await?;
    Ok(rows.into_iter().next().map(StoryRow::into_stored))
}

/// Stories of a project by their numbers, those in the trash left out; in no order.
pub async fn find_many(
    conn: &mut AsyncPgConnection,
    project: ProjectId,
    numbers: &[i64],
) -> Result<Vec<Story>> {
    let rows: Vec<StoryRow> =
        sql(select_story!("s.project_id = $1 AND s.ref = ANY($2) AND s.deleted_at IS NULL"))
            .bind::<st::Uuid, _>(project.uuid())
            .bind::<st::Array<st::BigInt>, _>(numbers)
            .load(conn)
            .await?;
    Ok(rows.into_iter().map(|row| row.into_stored().story).collect())
}

/// Every story of a board that is not in the trash, by column, rank and id.
pub async fn of_workflow(conn: &mut AsyncPgConnection, workflow: WorkflowId) -> Result<Vec<StorySummary>> {
    let rows: Vec<SummaryRow> = stories::table
        .filter(stories::workflow_id.eq(workflow.uuid()))
        .filter(stories::deleted_at.is_null())
        .order((stories::status_id, stories::rank, stories::id))
        .select(SummaryRow::as_select())
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(SummaryRow::into_summary).collect())
}

/// Stories of a project that are not in the trash, by number, a page at a time.
pub async fn of_project(
    conn: &mut AsyncPgConnection,
    project: ProjectId,
    filter: &Filter,
    page: Page<i64>,
) -> Result<Items<StorySummary, i64>> {
    let mut query = stories::table
        .filter(stories::project_id.eq(project.uuid()))
        .filter(stories::deleted_at.is_null())
        .filter(stories::number.gt(page.after.unwrap_or(0)))
        .order(stories::number)
        .limit(page.fetch())
        .select(SummaryRow::as_select())
        .into_boxed();
    if !filter.statuses.is_empty() {
        query = query
            .filter(stories::status_id.eq_any(filter.statuses.iter().map(|s| s.uuid()).collect::<Vec<_>>()));
    }
    if !filter.workflows.is_empty() {
        query = query.filter(
            stories::workflow_id.eq_any(filter.workflows.iter().map(|w| w.uuid()).collect::<Vec<_>>()),
        );
    }
    let rows: Vec<SummaryRow> = query.load(conn).await?;
    let items = rows.into_iter().map(SummaryRow::into_summary).collect();
    Ok(Items::cut(items, &page, |s: &StorySummary| s.number))
}

/// How many stories [`of_project`] would list in all.
pub async fn count(conn: &mut AsyncPgConnection, project: ProjectId, filter: &Filter) -> Result<i64> {
    let mut query = stories::table
        .filter(stories::project_id.eq(project.uuid()))
        .filter(stories::deleted_at.is_null())
        .count()
        .into_boxed();
    if !filter.statuses.is_empty() {
        query = query
            .filter(stories::status_id.eq_any(filter.statuses.iter().map(|s| s.uuid()).collect::<Vec<_>>()));
    }
    if !filter.workflows.is_empty() {
        query = query.filter(
            stories::workflow_id.eq_any(filter.workflows.iter().map(|w| w.uuid()).collect::<Vec<_>>()),
        );
    }
    Ok(query.get_result(conn).await?)
}

/// Which stories to list; an empty list means all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In one of these columns.
    pub statuses: Vec<StatusId>,
    /// On one of these boards.
    pub workflows: Vec<WorkflowId>,
}

/// Writes a story's title and description, those that are given, and its new version.
pub async fn update_text(
    conn: &mut AsyncPgConnection,
    id: StoryId,
    version: i64,
    title: Option<&StoryTitle>,
    description: Option<&StoryDescription>,
    by: UserId,
    at: Time,
) -> Result<()> {
    let title = title.map(|t| {
        (
            stories::title.eq(t.as_str().to_owned()),
            stories::title_version.eq(version),
            stories::title_updated_by.eq(by.uuid()),
            stories::title_updated_at.eq(at),
        )
    });
    let description = description.map(|d| {
        (
            stories::description.eq(d.as_str().to_owned()),
            stories::description_version.eq(version),
            stories::description_updated_by.eq(by.uuid()),
            stories::description_updated_at.eq(at),
        )
    });
    diesel::update(stories::table.find(id.uuid()))
        .set((stories::version.eq(version), title, description))
        .execute(conn)
        .await?;
    Ok(())
}

/// A story's new place.
#[derive(Debug, Clone)]
pub struct Place {
    /// Story.
    pub id: StoryId,
    /// Board.
    pub workflow: WorkflowId,
    /// Column.
    pub status: StatusId,
    /// Order in the column.
    pub rank: String,
}

/// Puts stories in their new places, in one statement; each one's version increases by one.
pub async fn update_places(
    conn: &mut AsyncPgConnection,
    places: &[Place],
    by: UserId,
    at: Time,
) -> Result<()> {
    sql("UPDATE stories s SET workflow_id = n.workflow_id, status_id = n.status_id, rank = n.rank, version = s.version + 1,
                place_version = s.version + 1, moved_by = $5, moved_at = $6
         FROM unnest($1, $2, $3, $4) AS n(id, workflow_id, status_id, rank) WHERE s.id = n.id")
        .bind::<st::Array<st::Uuid>, _>(places.iter().map(|p| p.id.uuid()).collect::<Vec<_>>())
        .bind::<st::Array<st::Uuid>, _>(places.iter().map(|p| p.workflow.uuid()).collect::<Vec<_>>())
        .bind::<st::Array<st::Uuid>, _>(places.iter().map(|p| p.status.uuid()).collect::<Vec<_>>())
        .bind::<st::Array<st::Text>, _>(places.iter().map(|p| p.rank.clone()).collect::<Vec<_>>())
        .bind::<st::Uuid, _>(by.uuid())
        .bind::<st::Timestamptz, _>(at)
        .execute(conn)
        .await?;
    Ok(())
}

/// Moves a story to the trash, or takes it back; its version increases by one.
pub async fn set_deleted(
    conn: &mut AsyncPgConnection,
    id: StoryId,
    deleted: Option<(Time, UserId)>,
) -> Result<()> {
    diesel::update(stories::table.find(id.uuid()))
        .set((
            stories::deleted_at.eq(deleted.map(|(at, _)| at)),
            stories::deleted_by.eq(deleted.map(|(_, by)| by.uuid())),
            stories::version.eq(stories::version + 1),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Moves every story of columns to the trash and, as a place to come back to, to another column.
pub async fn trash_all(
    conn: &mut AsyncPgConnection,
    statuses: &[StatusId],
    to: (WorkflowId, StatusId),
    by: UserId,
    at: Time,
) -> Result<()> {
    sql("UPDATE stories SET workflow_id = $2, status_id = $3, version = version + 1, place_version = version + 1,
                deleted_by = CASE WHEN deleted_at IS NULL THEN $4 ELSE deleted_by END, deleted_at = coalesce(deleted_at, $5)
         WHERE status_id = ANY($1)")
        .bind::<st::Array<st::Uuid>, _>(statuses.iter().map(|s| s.uuid()).collect::<Vec<_>>())
        .bind::<st::Uuid, _>(to.0.uuid())
        .bind::<st::Uuid, _>(to.1.uuid())
        .bind::<st::Uuid, _>(by.uuid())
        .bind::<st::Timestamptz, _>(at)
        .execute(conn)
        .await?;
    Ok(())
}

/// Stories of columns, in their order, those in the trash included.
pub async fn of_statuses(conn: &mut AsyncPgConnection, statuses: &[StatusId]) -> Result<Vec<Story>> {
    let rows: Vec<StoryRow> = sql(select_story!("s.status_id = ANY($1) ORDER BY s.rank, s.id"))
        .bind::<st::Array<st::Uuid>, _>(statuses.iter().map(|s| s.uuid()).collect::<Vec<_>>())
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(|row| row.into_stored().story).collect())
}

/// Stories of a project in the trash, latest first, a page at a time.
pub async fn trash(
    conn: &mut AsyncPgConnection,
    project: ProjectId,
    page: Page<TimeKey>,
) -> Result<Items<Story, TimeKey>> {
    let (at, id) = page.after.unzip();
    let rows: Vec<StoryRow> = sql(select_story!(
        "s.project_id = $1 AND s.deleted_at IS NOT NULL AND ($2 IS NULL OR (s.deleted_at, s.id) < ($2, $3))
         ORDER BY s.deleted_at DESC, s.id DESC LIMIT $4"
    ))
    .bind::<st::Uuid, _>(project.uuid())
    .bind::<st::Nullable<st::Timestamptz>, _>(at)
    .bind::<st::Nullable<st::Uuid>, _>(id)
    .bind::<st::BigInt, _>(page.fetch())
    .load(conn)
    .await?;
    let items: Vec<Story> = rows.into_iter().map(|r| r.into_stored().story).collect();
    Ok(Items::cut(items, &page, |s| (s.deleted_at.unwrap_or(s.created_at), s.id.uuid())))
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = stories)]
struct SummaryRow {
    id: Uuid,
    number: i64,
    title: String,
    status_id: Uuid,
    rank: String,
    version: i64,
}

impl SummaryRow {
    fn into_summary(self) -> StorySummary {
        StorySummary {
            id: self.id.into(),
            number: self.number,
            title: self.title,
            status_id: self.status_id.into(),
            rank: self.rank,
            version: self.version,
        }
    }
}

#[derive(QueryableByName)]
struct StoryRow {
    #[diesel(sql_type = st::Uuid)]
    id: Uuid,
    #[diesel(sql_type = st::Uuid)]
    project_id: Uuid,
    #[diesel(sql_type = st::Text)]
    key: String,
    #[diesel(sql_type = st::BigInt)]
    number: i64,
    #[diesel(sql_type = st::Text)]
    title: String,
    #[diesel(sql_type = st::Text)]
    description: String,
    #[diesel(sql_type = st::Uuid)]
    workflow_id: Uuid,
    #[diesel(sql_type = st::Uuid)]
    status_id: Uuid,
    #[diesel(sql_type = st::Text)]
    rank: String,
    #[diesel(sql_type = st::BigInt)]
    version: i64,
    #[diesel(sql_type = st::BigInt)]
    title_version: i64,
    #[diesel(sql_type = st::BigInt)]
    description_version: i64,
    #[diesel(sql_type = st::BigInt)]
    place_version: i64,
    #[diesel(sql_type = st::Timestamptz)]
    created_at: Time,
    #[diesel(sql_type = st::Nullable<st::Timestamptz>)]
    deleted_at: Option<Time>,
    #[diesel(embed)]
    created_by: Creator,
    #[diesel(embed)]
    title_updated: TitleTouch,
    #[diesel(embed)]
    description_updated: DescriptionTouch,
    #[diesel(embed)]
    moved: MoveTouch,
}

/// People joined in under a prefix each; absent when nobody did it or the account is gone.
macro_rules! joined_person {
    ($name:ident, $id:ident, $username:ident, $full_name:ident, $color:ident $(, $at:ident)?) => {
        #[derive(QueryableByName)]
        #[expect(clippy::struct_field_names, reason = "the names are those of the columns")]
        struct $name {
            $(#[diesel(sql_type = st::Nullable<st::Timestamptz>)] $at: Option<Time>,)?
            #[diesel(sql_type = st::Nullable<st::Uuid>)]
            $id: Option<Uuid>,
            #[diesel(sql_type = st::Nullable<st::Text>)]
            $username: Option<String>,
            #[diesel(sql_type = st::Nullable<st::Text>)]
            $full_name: Option<String>,
            #[diesel(sql_type = st::Nullable<st::SmallInt>)]
            $color: Option<i16>,
        }

        impl $name {
            fn person(self) -> Option<PersonRef> {
                Some(PersonRef {
                    id: self.$id?.into(),
                    username: self.$username?,
                    full_name: self.$full_name?,
                    color: self.$color?,
                })
            }
            $(fn touch(self) -> Option<Touch> {
                let at = self.$at?;
                Some(Touch { by: self.person(), at })
            })?
        }
    };
}

joined_person!(Creator, c_id, c_username, c_full_name, c_color);
joined_person!(TitleTouch, t_id, t_username, t_full_name, t_color, t_at);
joined_person!(DescriptionTouch, d_id, d_username, d_full_name, d_color, d_at);
joined_person!(MoveTouch, m_id, m_username, m_full_name, m_color, m_at);

impl StoryRow {
    fn into_stored(self) -> Stored {
        let groups = GroupVersions {
            title: self.title_version,
            description: self.description_version,
            place: self.place_version,
        };
        let story = Story {
            id: self.id.into(),
            project_id: self.project_id.into(),
            key: self.key,
            number: self.number,
            title: StoryTitle::stored(&self.title),
            description: StoryDescription::stored(&self.description),
            workflow_id: self.workflow_id.into(),
            status_id: self.status_id.into(),
            rank: self.rank,
            version: self.version,
            created_by: self.created_by.person(),
            created_at: self.created_at,
            title_updated: self.title_updated.touch(),
            description_updated: self.description_updated.touch(),
            moved: self.moved.touch(),
            deleted_at: self.deleted_at,
        };
        Stored { story, groups }
    }
}
