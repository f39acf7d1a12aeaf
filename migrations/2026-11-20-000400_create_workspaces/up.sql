-- Workspaces, projects, their people and the invitations into them.

CREATE TABLE workspaces (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    color smallint NOT NULL,
    created_by uuid REFERENCES users ON DELETE SET NULL,
    created_at timestamptz NOT NULL,
    deleted_at timestamptz,
    version bigint NOT NULL DEFAULT 1
);

CREATE TABLE workspace_members (
    workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'readonly-member')),
    created_at timestamptz NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (workspace_id, user_id)
);
CREATE INDEX workspace_members_user ON workspace_members (user_id);

CREATE TABLE projects (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    name text NOT NULL,
    description text NOT NULL,
    color smallint NOT NULL,
    key text NOT NULL,
    -- The columns that new boards of this project get.
    template jsonb NOT NULL,
    -- Number of the latest story; taken under the lock of the project's stream, so gapless.
    last_ref bigint NOT NULL DEFAULT 0,
    created_by uuid REFERENCES users ON DELETE SET NULL,
    created_at timestamptz NOT NULL,
    archived_at timestamptz,
    deleted_at timestamptz,
    version bigint NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX projects_key ON projects (workspace_id, key);

CREATE TABLE project_roles (
    id uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    name text NOT NULL,
    slug text NOT NULL,
    is_owner boolean NOT NULL,
    editable boolean NOT NULL,
    position integer NOT NULL,
    permissions text[] NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    UNIQUE (project_id, slug)
);

CREATE TABLE project_members (
    project_id uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    role_id uuid NOT NULL REFERENCES project_roles,
    created_at timestamptz NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (project_id, user_id)
);
CREATE INDEX project_members_user ON project_members (user_id);
CREATE INDEX project_members_role ON project_members (role_id);

CREATE TABLE invitations (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    -- None: into the workspace itself.
    project_id uuid REFERENCES projects ON DELETE CASCADE,
    email text NOT NULL,
    -- The account behind the address, once that is verified.
    user_id uuid REFERENCES users ON DELETE CASCADE,
    -- Invited by handle: the inviter knows the person but not the address.
    by_handle boolean NOT NULL,
    -- Exactly one of the two, by what it opens.
    workspace_role text,
    role_id uuid REFERENCES project_roles,
    status text NOT NULL CHECK (status IN ('pending', 'accepted', 'revoked', 'denied')),
    invited_by uuid REFERENCES users ON DELETE SET NULL,
    -- Of the latest mailed link; older ones open nothing.
    hash bytea UNIQUE,
    hash_expires_at timestamptz,
    sent_count integer NOT NULL DEFAULT 0,
    last_sent_at timestamptz,
    created_at timestamptz NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    CHECK ((project_id IS NULL) = (workspace_role IS NOT NULL)),
    CHECK ((project_id IS NULL) = (role_id IS NULL))
);
CREATE UNIQUE INDEX invitations_workspace_email ON invitations (workspace_id, email) WHERE project_id IS NULL;
CREATE UNIQUE INDEX invitations_project_email ON invitations (project_id, email) WHERE project_id IS NOT NULL;
CREATE INDEX invitations_email ON invitations (email) WHERE status = 'pending';
CREATE INDEX invitations_user ON invitations (user_id);
CREATE INDEX invitations_role ON invitations (role_id);
