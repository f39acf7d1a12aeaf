//! What goes over the socket, either way.

use std::{fmt::Display, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tenon_core::{
    attachments::Attachment,
    changes::{Kind, Recorded, Stream},
    comments::Comment,
    stories::Story,
};
use utoipa::ToSchema;

use super::reference;
use crate::{
    api::{AttachmentView, CommentView, StoryView},
    views::AuthorView,
};

/// What a client may say.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = ClientFrame)]
pub enum ClientFrame {
    /// Who it is, as the first frame of a client that can set neither cookie nor header.
    Auth {
        /// Access token or personal access token.
        token: String,
    },
    /// Wants the changes of a stream.
    Subscribe {
        /// Comes back in the answer.
        id: i64,
        /// `project:<id>`, `workspace:<id>` or `person:<id>`; for administrators also `jobs`.
        stream: String,
        /// Position after which to begin; from now on when absent.
        after: Option<i64>,
    },
    /// Wants no more of a stream.
    Unsubscribe {
        /// Comes back in the answer.
        id: i64,
        /// As given to `subscribe`.
        stream: String,
    },
    /// Tells the others on a stream what this client is at.
    Presence {
        /// A stream subscribed to.
        stream: String,
        /// Anything of at most 2 KiB; null when it is at nothing any more.
        state: Value,
    },
    /// Wants a sign of life.
    Ping {},
}

/// A change, as delivered live and in the change feed.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Change)]
pub struct ChangeView {
    /// `project:<id>`, `workspace:<id>` or `person:<id>`.
    pub stream: String,
    /// Position in the stream, from 1. Positions that the reader may not see are left out.
    pub seq: i64,
    /// `noun.verb` in the past tense.
    #[schema(example = "story.moved")]
    pub kind: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: AuthorView,
    /// The request that caused it.
    pub correlation_id: String,
    /// What it is since; its shape follows from `kind`.
    #[schema(value_type = Object)]
    pub data: Value,
    /// What it was before, for what changed.
    #[schema(value_type = Option<Object>)]
    pub before: Option<Value>,
    /// What was left out because it is long; none when everything is here.
    pub omitted: Option<OmittedView>,
}

/// Long texts that a change does not bring along: when `data` and `before` together are longer than 128 KiB, the members of
/// `before` longer than 4 KiB are left out, and if that is not enough those of `data`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Omitted)]
pub struct OmittedView {
    /// JSON pointers into the change.
    #[schema(example = json!(["/data/description", "/before/description"]))]
    pub members: Vec<String>,
    /// Path of the thing as it is now, to fetch what is missing in `data`. What was `before` is in its history.
    #[schema(example = "/api/v1/stories/0195d3a0-0000-7000-8000-000000000000")]
    pub href: String,
}

impl ChangeView {
    /// A recorded change of a stream.
    pub fn new(stream: Stream, change: Recorded) -> Self {
        let subject = change.subject;
        let (mut data, mut before) = (data_view(&change.kind, change.data), change.before);
        let members = reference::shorten(&mut data, before.as_mut());
        let omitted = members.map(|members| {
            let href = reference::href(stream, &change.kind, subject);
            OmittedView { members, href }
        });
        Self {
            stream: stream.to_string(),
            seq: change.seq,
            data,
            omitted,
            kind: change.kind,
            at: change.at,
            actor: change.actor.into(),
            correlation_id: change.correlation_id,
            before,
        }
    }

    /// As a frame.
    pub fn frame(self) -> Value {
        let mut frame = serde_json::to_value(self).unwrap_or_default();
        frame["op"] = json!("change");
        if let Some(members) = frame.as_object_mut() {
            members.retain(|name, value| !value.is_null() || !["before", "omitted"].contains(&name.as_str()));
        }
        frame
    }
}

/// Whole things look in events as they do in answers.
fn data_view(kind: &str, data: Value) -> Value {
    match Kind::of(kind) {
        Some(Kind::StoryCreated | Kind::StoryRestored) => as_view::<Story, StoryView>(data),
        Some(Kind::CommentCreated | Kind::CommentUpdated) => as_view::<Comment, CommentView>(data),
        Some(Kind::AttachmentCreated) => as_view::<Attachment, AttachmentView>(data),
        _ => data,
    }
}

fn as_view<T: DeserializeOwned, V: From<T> + Serialize>(data: Value) -> Value {
    match serde_json::from_value::<T>(data.clone()) {
        Ok(thing) => serde_json::to_value(V::from(thing)).unwrap_or(data),
        // Written by another release: better as it is than not at all.
        Err(_) => data,
    }
}

/// `subscribed`: what follows is every change after `seq`, and before it every one asked for.
pub(super) fn subscribed(id: i64, stream: Stream, seq: i64) -> Value {
    json!({ "op": "subscribed", "id": id, "stream": stream.to_string(), "seq": seq })
}

pub(super) fn unsubscribed(id: i64, stream: &str) -> Value {
    json!({ "op": "unsubscribed", "id": id, "stream": stream })
}

pub(super) fn reset(stream: Stream) -> Value {
    json!({ "op": "reset", "stream": stream.to_string() })
}

pub(super) fn revoked(stream: impl Display) -> Value {
    json!({ "op": "revoked", "stream": stream.to_string() })
}

/// A frame too many, that was not done.
pub(super) fn rate_limited(id: Option<i64>, after: Duration) -> Value {
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    let detail = format!("You send too many frames. This one was not done; try again in {seconds} s.");
    let mut frame = error(id, "rate-limited", &detail);
    frame["retry_after"] = json!(seconds);
    frame
}

pub(super) fn error(id: Option<i64>, code: &str, detail: &str) -> Value {
    let mut frame = json!({ "op": "error", "code": code, "detail": detail });
    if let Some(id) = id {
        frame["id"] = json!(id);
    }
    frame
}
