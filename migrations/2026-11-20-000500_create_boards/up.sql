-- Boards, their columns, stories, comments and files.

CREATE TABLE workflows (
    id uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    name text NOT NULL,
    slug text NOT NULL,
    position integer NOT NULL,
    created_at timestamptz NOT NULL,
    version bigint NOT NULL DEFAULT 1
);
CREATE INDEX workflows_project ON workflows (project_id, position);

-- Every slug a board ever had: the present one is also in its row, the others redirect.
CREATE TABLE workflow_slugs (
    project_id uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    slug text NOT NULL,
    workflow_id uuid NOT NULL REFERENCES workflows ON DELETE CASCADE,
    PRIMARY KEY (project_id, slug)
);
CREATE INDEX workflow_slugs_workflow ON workflow_slugs (workflow_id);

CREATE TABLE statuses (
    id uuid PRIMARY KEY,
    workflow_id uuid NOT NULL REFERENCES workflows ON DELETE CASCADE,
    name text NOT NULL,
    color smallint NOT NULL,
    position integer NOT NULL,
    category text NOT NULL CHECK (category IN ('todo', 'doing', 'done')),
    wip_limit integer CHECK (wip_limit > 0),
    version bigint NOT NULL DEFAULT 1
);
CREATE INDEX statuses_workflow ON statuses (workflow_id, position);

CREATE TABLE stories (
    id uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    ref bigint NOT NULL,
    title text NOT NULL,
    description text NOT NULL,
    workflow_id uuid NOT NULL REFERENCES workflows,
    status_id uuid NOT NULL REFERENCES statuses,
    rank text COLLATE "C" NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    -- The version at which each group of fields last changed: a stale write that touches none of
    -- the groups changed since is still good.
    title_version bigint NOT NULL DEFAULT 1,
    description_version bigint NOT NULL DEFAULT 1,
    place_version bigint NOT NULL DEFAULT 1,
    created_by uuid REFERENCES users ON DELETE SET NULL,
    created_at timestamptz NOT NULL,
    title_updated_by uuid REFERENCES users ON DELETE SET NULL,
    title_updated_at timestamptz,
    description_updated_by uuid REFERENCES users ON DELETE SET NULL,
    description_updated_at timestamptz,
    moved_by uuid REFERENCES users ON DELETE SET NULL,
    moved_at timestamptz,
    deleted_at timestamptz,
    deleted_by uuid REFERENCES users ON DELETE SET NULL,
    UNIQUE (project_id, ref)
);
CREATE INDEX stories_board ON stories (workflow_id, status_id, rank, id) WHERE deleted_at IS NULL;
CREATE INDEX stories_status ON stories (status_id, rank, id);
CREATE INDEX stories_trash ON stories (project_id, deleted_at, id) WHERE deleted_at IS NOT NULL;

CREATE TABLE comments (
    id uuid PRIMARY KEY,
    story_id uuid NOT NULL REFERENCES stories ON DELETE CASCADE,
    body text NOT NULL,
    created_by uuid REFERENCES users ON DELETE SET NULL,
    created_at timestamptz NOT NULL,
    edited_at timestamptz,
    deleted_at timestamptz,
    deleted_by uuid REFERENCES users ON DELETE SET NULL,
    version bigint NOT NULL DEFAULT 1
);
CREATE INDEX comments_story ON comments (story_id, created_at, id);

-- What a comment said before each edit.
CREATE TABLE comment_edits (
    comment_id uuid NOT NULL REFERENCES comments ON DELETE CASCADE,
    version bigint NOT NULL,
    body text NOT NULL,
    edited_by uuid REFERENCES users ON DELETE SET NULL,
    edited_at timestamptz NOT NULL,
    PRIMARY KEY (comment_id, version)
);

-- Every blob that was ever referred to. Its bytes are unlinked only when it has been unreferenced for
-- longer than the backup window, so that files match the database at any restored moment.
CREATE TABLE blobs (
    key text PRIMARY KEY,
    size bigint NOT NULL,
    sha256 bytea NOT NULL,
    created_at timestamptz NOT NULL,
    unreferenced_at timestamptz
);
CREATE INDEX blobs_unreferenced ON blobs (unreferenced_at) WHERE unreferenced_at IS NOT NULL;

CREATE TABLE attachments (
    id uuid PRIMARY KEY,
    story_id uuid NOT NULL REFERENCES stories ON DELETE CASCADE,
    name text NOT NULL,
    media_type text NOT NULL,
    blob_key text NOT NULL UNIQUE REFERENCES blobs,
    created_by uuid REFERENCES users ON DELETE SET NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX attachments_story ON attachments (story_id, created_at, id);
