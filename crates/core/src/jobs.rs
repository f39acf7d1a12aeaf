//! Jobs: what is done after the answer, in the words of its payload. Behaviour is in `app`.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Time,
    emails::Email,
    ids::{InvitationId, SessionId, UserId},
    users::Lang,
};

/// A payload and the name under which its handler is found.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Stable for ever: queued jobs carry it.
    const NAME: &'static str;
    /// The queue it goes to unless told otherwise.
    const QUEUE: &'static str = "default";
    /// Higher first, −100 to 100.
    const PRIORITY: i16 = 0;
    /// How often it is tried before it is dead.
    const MAX_ATTEMPTS: i32 = 8;

    /// Who waits for it, and is told how far it is.
    fn owner(&self) -> Option<UserId> {
        None
    }
}

/// Every queue a worker takes from unless told otherwise.
pub const QUEUES: [&str; 2] = ["default", "mail"];

/// Sends one mail. No secret is in it: the link's token is derived again when the mail is composed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "the payload is no mail, neither by what it is about nor whole")]
pub enum SendMail {
    /// About something in the database. Who receives it, and what it says of people, is looked up when it is composed:
    /// the history of jobs holds no name and no address.
    About(MailAbout),
    /// As it is: what an earlier release enqueued.
    Whole(Letter),
}

/// What a mail is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum MailAbout {
    /// [`MailKind::VerifyEmail`].
    VerifyEmail {
        /// Receiver.
        user: UserId,
        /// The mailed link.
        link: uuid::Uuid,
    },
    /// [`MailKind::SignUpAttempted`].
    SignUpAttempted {
        /// Receiver.
        user: UserId,
    },
    /// [`MailKind::ResetPassword`].
    ResetPassword {
        /// Receiver.
        user: UserId,
        /// The mailed link.
        link: uuid::Uuid,
    },
    /// [`MailKind::PasswordChanged`].
    PasswordChanged {
        /// Receiver.
        user: UserId,
        /// When.
        at: Time,
        /// Whether it was reset rather than changed by who knew it.
        reset: bool,
    },
    /// [`MailKind::ChangeEmailOld`].
    ChangeEmailOld {
        /// Receiver.
        user: UserId,
        /// The mailed link, which knows the address wanted.
        link: uuid::Uuid,
    },
    /// [`MailKind::ChangeEmailNew`], to the address that the link knows.
    ChangeEmailNew {
        /// Whose address is to change.
        user: UserId,
        /// The mailed link.
        link: uuid::Uuid,
    },
    /// [`MailKind::EmailChanged`], to the address of before.
    EmailChanged {
        /// Whose address changed.
        user: UserId,
        /// Where their log says so.
        seq: i64,
    },
    /// [`MailKind::NewLogin`].
    NewLogin {
        /// Receiver.
        user: UserId,
        /// The session that began.
        session: SessionId,
    },
    /// [`MailKind::WorkspaceInvitation`] or [`MailKind::ProjectInvitation`].
    Invitation {
        /// The invitation.
        invitation: InvitationId,
        /// Which mail about it, from 1: each has a token of its own.
        send: i32,
        /// Language for who has no account.
        lang: Lang,
    },
}

/// A mail with everything that it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Receiver.
    pub to: Email,
    /// Receiver's name, if known.
    pub name: Option<String>,
    /// Receiver's language.
    pub lang: Lang,
    /// Which mail.
    pub mail: MailKind,
}

impl Job for SendMail {
    const NAME: &'static str = "send_mail";
    const QUEUE: &'static str = "mail";
    const PRIORITY: i16 = 10;
}

/// The mails there are, with what each says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MailKind {
    /// Asks the receiver to verify the address.
    VerifyEmail {
        /// The mailed link.
        link: uuid::Uuid,
    },
    /// Tells the owner of an address that somebody tried to sign up with it.
    SignUpAttempted,
    /// Lets the receiver choose a new password.
    ResetPassword {
        /// The mailed link.
        link: uuid::Uuid,
    },
    /// Tells that the password changed.
    PasswordChanged {
        /// When, in the receiver's time zone.
        when: String,
        /// Whether it was reset, by a mailed link or by an administrator, rather than changed by who knew it.
        #[serde(default)]
        reset: bool,
        /// Names of the personal access tokens that go on working.
        #[serde(default)]
        tokens: Vec<String>,
    },
    /// Asks, at the old address, to consent to a change of address.
    ChangeEmailOld {
        /// The mailed link.
        link: uuid::Uuid,
        /// The address it changes to.
        new_email: Email,
    },
    /// Asks, at the new address, to consent to a change of address.
    ChangeEmailNew {
        /// The mailed link.
        link: uuid::Uuid,
    },
    /// Tells the old address that the change is done.
    EmailChanged {
        /// The address it changed to.
        new_email: Email,
    },
    /// Tells of a sign-in from a device not seen before.
    NewLogin {
        /// When, in the receiver's time zone.
        when: String,
        /// The client as it named itself.
        device: String,
        /// Client address.
        address: String,
    },
    /// Invites into a workspace.
    WorkspaceInvitation {
        /// The invitation.
        invitation: InvitationId,
        /// Which mail about it, from 1: each has a token of its own.
        send: i32,
        /// Name of the workspace.
        workspace: String,
        /// Name of who invites.
        inviter: String,
    },
    /// Invites into a project.
    ProjectInvitation {
        /// The invitation.
        invitation: InvitationId,
        /// Which mail about it, from 1: each has a token of its own.
        send: i32,
        /// Name of the project.
        project: String,
        /// Name of its workspace.
        workspace: String,
        /// Name of who invites.
        inviter: String,
    },
}

/// Removes what has ended: links, sessions, tokens, idempotency keys; accounts never verified; blobs
/// that nothing refers to and whose window is over; things long in the trash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeExpired {}

impl Job for PurgeExpired {
    const NAME: &'static str = "purge_expired";
}

/// Removes stored files that no row knows: uploads that broke off before they were written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepBlobs {}

impl Job for SweepBlobs {
    const NAME: &'static str = "sweep_blobs";
}

/// Gives the stories of columns with long ranks new ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShortenRanks {}

impl Job for ShortenRanks {
    const NAME: &'static str = "shorten_ranks";
}

/// Tells the people behind a newly verified address of the invitations that wait for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkInvitations {
    /// Whose address was verified.
    pub user_id: UserId,
}

impl Job for LinkInvitations {
    const NAME: &'static str = "link_invitations";

    fn owner(&self) -> Option<UserId> {
        Some(self.user_id)
    }
}
