//! Tables, as the migrations leave them. A test compares this with a migrated database.
#![expect(missing_docs, reason = "the macros' output; the tables are explained in the migrations")]

diesel::table! {
    users (id) {
        id -> Uuid,
        username -> Text,
        email -> Text,
        password_hash -> Nullable<Text>,
        full_name -> Text,
        color -> SmallInt,
        lang -> Text,
        timezone -> Text,
        is_active -> Bool,
        is_admin -> Bool,
        accepted_terms_at -> Nullable<Timestamptz>,
        accepted_privacy_at -> Nullable<Timestamptz>,
        verified_at -> Nullable<Timestamptz>,
        last_login_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        version -> BigInt,
    }
}

diesel::table! {
    sessions (id) {
        id -> Uuid,
        user_id -> Uuid,
        user_agent -> Text,
        address -> Text,
        created_at -> Timestamptz,
        last_seen_at -> Timestamptz,
        expires_at -> Timestamptz,
        revoked_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    refresh_tokens (hash) {
        hash -> Bytea,
        session_id -> Uuid,
        issued_at -> Timestamptz,
        rotated_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    access_tokens (id) {
        id -> Uuid,
        user_id -> Uuid,
        name -> Text,
        hash -> Bytea,
        scopes -> Array<Text>,
        created_at -> Timestamptz,
        expires_at -> Nullable<Timestamptz>,
        last_used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    links (id) {
        id -> Uuid,
        hash -> Bytea,
        purpose -> Text,
        user_id -> Nullable<Uuid>,
        new_email -> Nullable<Text>,
        partner_id -> Nullable<Uuid>,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    idempotency_keys (caller, key) {
        caller -> Text,
        key -> Text,
        fingerprint -> Bytea,
        status -> Nullable<SmallInt>,
        headers -> Nullable<Jsonb>,
        body -> Nullable<Bytea>,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    streams (id) {
        id -> Uuid,
        kind -> Text,
        seq -> BigInt,
    }
}

diesel::table! {
    changes (stream, seq) {
        stream -> Uuid,
        seq -> BigInt,
        kind -> Text,
        subject -> Uuid,
        actor_id -> Nullable<Uuid>,
        correlation_id -> Text,
        at -> Timestamptz,
        data -> Jsonb,
        before -> Nullable<Jsonb>,
    }
}

diesel::table! {
    workspaces (id) {
        id -> Uuid,
        name -> Text,
        color -> SmallInt,
        created_by -> Nullable<Uuid>,
        created_at -> Timestamptz,
        deleted_at -> Nullable<Timestamptz>,
        version -> BigInt,
    }
}

diesel::table! {
    workspace_members (workspace_id, user_id) {
        workspace_id -> Uuid,
        user_id -> Uuid,
        role -> Text,
        created_at -> Timestamptz,
        version -> BigInt,
    }
}

diesel::table! {
    projects (id) {
        id -> Uuid,
        workspace_id -> Uuid,
        name -> Text,
        description -> Text,
        color -> SmallInt,
        key -> Text,
        template -> Jsonb,
        last_ref -> BigInt,
        created_by -> Nullable<Uuid>,
        created_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
        deleted_at -> Nullable<Timestamptz>,
        version -> BigInt,
    }
}

diesel::table! {
    project_roles (id) {
        id -> Uuid,
        project_id -> Uuid,
        name -> Text,
        slug -> Text,
        is_owner -> Bool,
        editable -> Bool,
        position -> Integer,
        permissions -> Array<Text>,
        version -> BigInt,
    }
}

diesel::table! {
    project_members (project_id, user_id) {
        project_id -> Uuid,
        user_id -> Uuid,
        role_id -> Uuid,
        created_at -> Timestamptz,
        version -> BigInt,
    }
}

diesel::table! {
    invitations (id) {
        id -> Uuid,
        workspace_id -> Uuid,
        project_id -> Nullable<Uuid>,
        email -> Text,
        user_id -> Nullable<Uuid>,
        by_handle -> Bool,
        workspace_role -> Nullable<Text>,
        role_id -> Nullable<Uuid>,
        status -> Text,
        invited_by -> Nullable<Uuid>,
        hash -> Nullable<Bytea>,
        hash_expires_at -> Nullable<Timestamptz>,
        sent_count -> Integer,
        last_sent_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        version -> BigInt,
    }
}

diesel::table! {
    workflows (id) {
        id -> Uuid,
        project_id -> Uuid,
        name -> Text,
        slug -> Text,
        position -> Integer,
        created_at -> Timestamptz,
        version -> BigInt,
    }
}

diesel::table! {
    workflow_slugs (project_id, slug) {
        project_id -> Uuid,
        slug -> Text,
        workflow_id -> Uuid,
    }
}

diesel::table! {
    statuses (id) {
        id -> Uuid,
        workflow_id -> Uuid,
        name -> Text,
        color -> SmallInt,
        position -> Integer,
        category -> Text,
        wip_limit -> Nullable<Integer>,
        version -> BigInt,
    }
}

diesel::table! {
    stories (id) {
        id -> Uuid,
        project_id -> Uuid,
        #[sql_name = "ref"]
        number -> BigInt,
        title -> Text,
        description -> Text,
        workflow_id -> Uuid,
        status_id -> Uuid,
        rank -> Text,
        version -> BigInt,
        title_version -> BigInt,
        description_version -> BigInt,
        place_version -> BigInt,
        created_by -> Nullable<Uuid>,
        created_at -> Timestamptz,
        title_updated_by -> Nullable<Uuid>,
        title_updated_at -> Nullable<Timestamptz>,
        description_updated_by -> Nullable<Uuid>,
        description_updated_at -> Nullable<Timestamptz>,
        moved_by -> Nullable<Uuid>,
        moved_at -> Nullable<Timestamptz>,
        deleted_at -> Nullable<Timestamptz>,
        deleted_by -> Nullable<Uuid>,
    }
}

diesel::table! {
    comments (id) {
        id -> Uuid,
        story_id -> Uuid,
        body -> Text,
        created_by -> Nullable<Uuid>,
        created_at -> Timestamptz,
        edited_at -> Nullable<Timestamptz>,
        deleted_at -> Nullable<Timestamptz>,
        deleted_by -> Nullable<Uuid>,
        version -> BigInt,
    }
}

diesel::table! {
    comment_edits (comment_id, version) {
        comment_id -> Uuid,
        version -> BigInt,
        body -> Text,
        edited_by -> Nullable<Uuid>,
        edited_at -> Timestamptz,
    }
}

diesel::table! {
    blobs (key) {
        key -> Text,
        size -> BigInt,
        sha256 -> Bytea,
        created_at -> Timestamptz,
        unreferenced_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    attachments (id) {
        id -> Uuid,
        story_id -> Uuid,
        name -> Text,
        media_type -> Text,
        blob_key -> Text,
        created_by -> Nullable<Uuid>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    schedule_ticks (schedule, tick) {
        schedule -> Text,
        tick -> Timestamptz,
        job -> Uuid,
        seq -> BigInt,
    }
}

diesel::table! {
    maintenance (id) {
        id -> Bool,
        since -> Timestamptz,
        message -> Nullable<Text>,
        until -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    backup_figures (name) {
        name -> Text,
        value -> Double,
    }
}

diesel::table! {
    applied_migrations (version) {
        version -> Text,
        sha256 -> Text,
        release -> Text,
        applied_at -> Timestamptz,
    }
}

diesel::joinable!(sessions -> users (user_id));
diesel::joinable!(access_tokens -> users (user_id));
diesel::joinable!(workspace_members -> users (user_id));
diesel::joinable!(workspace_members -> workspaces (workspace_id));
diesel::joinable!(projects -> workspaces (workspace_id));
diesel::joinable!(project_roles -> projects (project_id));
diesel::joinable!(project_members -> users (user_id));
diesel::joinable!(project_members -> projects (project_id));
diesel::joinable!(project_members -> project_roles (role_id));
diesel::joinable!(statuses -> workflows (workflow_id));
diesel::joinable!(comments -> stories (story_id));
diesel::joinable!(attachments -> stories (story_id));
diesel::joinable!(attachments -> blobs (blob_key));

diesel::allow_tables_to_appear_in_same_query!(
    users,
    sessions,
    refresh_tokens,
    access_tokens,
    links,
    idempotency_keys,
    streams,
    changes,
    workspaces,
    workspace_members,
    projects,
    project_roles,
    project_members,
    invitations,
    workflows,
    workflow_slugs,
    statuses,
    stories,
    comments,
    comment_edits,
    blobs,
    attachments
);
