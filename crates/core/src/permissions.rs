//! The vocabulary of rights and the rules between them.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What can be granted: permissions of one vocabulary, or scopes of tokens.
pub trait Grantable: Copy {
    /// Nothing.
    const NONE: Self;
    /// These, but for those of `other`.
    #[must_use]
    fn without(self, other: Self) -> Self;
    /// For the first of `wanted` that is not among these, the words of a refusal: “grant …, which you do not hold”.
    fn first_missing(self, wanted: Self) -> Option<&'static str>;
}

/// What somebody may do in a place, or what a role lets its holders do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights<P> {
    /// Whether they own the place.
    pub is_owner: bool,
    /// What they may do.
    pub permissions: P,
}

impl<P: Grantable> Rights<P> {
    /// Those of somebody who is not in the place.
    pub const NONE: Self = Self { is_owner: false, permissions: P::NONE };
}

macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident, $(#[$set_doc:meta])* $set:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal $(needs $needs:ident)?;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// The vocabulary, in its documented order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// As written on the wire and in the database.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $word),* } }
            /// The permission of a word.
            pub fn of(word: &str) -> Option<Self> { Self::ALL.iter().copied().find(|p| p.as_str() == word) }
            /// The words of a refusal to whoever would grant it without holding it.
            const fn not_held(self) -> &'static str {
                match self { $(Self::$variant => concat!("grant ", $word, ", which you do not hold")),* }
            }
            /// The permission without which this one makes no sense.
            pub const fn needs(self) -> Option<Self> {
                match self { $(Self::$variant => vocabulary!(@needs $($needs)?),)* }
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> { s.serialize_str(self.as_str()) }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let word = String::deserialize(d)?;
                Self::of(&word).ok_or_else(|| serde::de::Error::custom("unknown-permission: no such permission"))
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }

        $(#[$set_doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Default)]
        pub struct $set(u32);

        impl $set {
            /// No permission.
            pub const NONE: Self = Self(0);
            /// Every permission.
            pub const ALL: Self = Self((1 << $name::ALL.len()) - 1);
            /// These permissions.
            pub fn of(permissions: impl IntoIterator<Item = $name>) -> Self {
                Self(permissions.into_iter().fold(0, |bits, p| bits | 1 << p as u32))
            }
            /// These permissions and all they need.
            #[must_use]
            pub fn closure(self) -> Self {
                self.iter().fold(self, |mut set, p| {
                    let mut at = p;
                    while let Some(needed) = at.needs() { set.0 |= 1 << needed as u32; at = needed; }
                    set
                })
            }
            /// Whether `permission` is among them.
            pub const fn has(self, permission: $name) -> bool { self.0 & (1 << permission as u32) != 0 }
            /// One by one, in the vocabulary's order.
            pub fn iter(self) -> impl Iterator<Item = $name> { $name::ALL.iter().copied().filter(move |p| self.has(*p)) }
            /// The first permission that lacks the one it needs.
            pub fn broken(self) -> Option<($name, $name)> {
                self.iter().find_map(|p| p.needs().filter(|n| !self.has(*n)).map(|n| (p, n)))
            }
            /// From stored words; unknown ones (of a newer release) are left out.
            pub fn from_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
                Self::of(words.into_iter().filter_map($name::of))
            }
            /// As stored.
            pub fn words(self) -> Vec<String> { self.iter().map(|p| p.as_str().to_owned()).collect() }
        }
        impl Grantable for $set {
            const NONE: Self = Self::NONE;
            fn without(self, other: Self) -> Self { Self(self.0 & !other.0) }
            fn first_missing(self, wanted: Self) -> Option<&'static str> {
                wanted.without(self).iter().next().map($name::not_held)
            }
        }
        impl fmt::Debug for $set {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.debug_set().entries(self.iter()).finish() }
        }
        impl Serialize for $set {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> { s.collect_seq(self.iter()) }
        }
        impl<'de> Deserialize<'de> for $set {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                Ok(Self::of(Vec::<$name>::deserialize(d)?))
            }
        }
    };
    (@needs $needs:ident) => { Some(Self::$needs) };
    (@needs) => { None };
}

vocabulary! {
    /// A right inside a workspace.
    WorkspacePermission,
    /// Rights inside a workspace.
    WorkspacePermissions {
        /// Invite people and change their roles.
        CreateModifyMember = "create_modify_member";
        /// Remove people.
        DeleteMember = "delete_member" needs CreateModifyMember;
        /// Change name and colour.
        ModifyWorkspace = "modify_workspace";
        /// Move the workspace to the trash.
        DeleteWorkspace = "delete_workspace" needs ModifyWorkspace;
        /// Start projects.
        CreateProject = "create_project";
    }
}

vocabulary! {
    /// A right inside a project.
    ProjectPermission,
    /// Rights inside a project.
    ProjectPermissions {
        /// Invite people and change their roles.
        CreateModifyMember = "create_modify_member";
        /// Remove people.
        DeleteMember = "delete_member" needs CreateModifyMember;
        /// Make, change and delete roles.
        CreateModifyDeleteRole = "create_modify_delete_role" needs CreateModifyMember;
        /// Change name, description, colour, logo.
        ModifyProject = "modify_project";
        /// Move the project to the trash.
        DeleteProject = "delete_project" needs ModifyProject;
        /// See stories.
        ViewStory = "view_story";
        /// Change stories.
        ModifyStory = "modify_story" needs ViewStory;
        /// Write stories.
        CreateStory = "create_story" needs ModifyStory;
        /// Move stories to the trash.
        DeleteStory = "delete_story" needs CreateStory;
        /// See comments.
        ViewComment = "view_comment" needs ViewStory;
        /// Write comments, change and delete one's own.
        CreateModifyDeleteComment = "create_modify_delete_comment" needs ViewComment;
        /// Delete anybody's comments.
        ModerateComment = "moderate_comment" needs CreateModifyDeleteComment;
        /// See boards.
        ViewWorkflow = "view_workflow" needs ViewStory;
        /// Change boards and their columns.
        ModifyWorkflow = "modify_workflow" needs ViewWorkflow;
        /// Make boards.
        CreateWorkflow = "create_workflow" needs ModifyWorkflow;
        /// Delete boards.
        DeleteWorkflow = "delete_workflow" needs CreateWorkflow;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_whole_vocabulary_is_sound() {
        assert_eq!(ProjectPermission::ALL.len(), 16);
        assert_eq!(ProjectPermissions::ALL.broken(), None);
        assert_eq!(WorkspacePermissions::ALL.broken(), None);
    }

    proptest! {
        #[test]
        fn a_closure_is_never_broken_and_never_shrinks(bits in 0_u32..(1 << 16)) {
            let set = ProjectPermissions(bits);
            let closed = set.closure();
            prop_assert_eq!(closed.broken(), None);
            prop_assert!(set.iter().all(|p| closed.has(p)));
            prop_assert_eq!(set.broken().is_none(), set == closed);
        }
    }
}
