//! Decisions that need more than one permission: pure functions, tested as a table.

use tenon_core::{Error, Result, roles::WorkspaceRole};

/// Only owners touch owners or make one, in a workspace.
pub fn may_change_workspace_role(actor: WorkspaceRole, from: WorkspaceRole, to: WorkspaceRole) -> Result<()> {
    owners_only(actor == WorkspaceRole::Owner, from == WorkspaceRole::Owner, to == WorkspaceRole::Owner)
}

/// Only owners touch owners or make one, in a project.
pub fn may_change_project_role(actor_is_owner: bool, from_owner: bool, to_owner: bool) -> Result<()> {
    owners_only(actor_is_owner, from_owner, to_owner)
}

fn owners_only(actor_is_owner: bool, from_owner: bool, to_owner: bool) -> Result<()> {
    if actor_is_owner || !(from_owner || to_owner) {
        Ok(())
    } else {
        Err(Error::Forbidden("make or change owners"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_owners_touch_owners_or_make_one() {
        use WorkspaceRole::{Admin, Member, Owner};
        for (actor, from, to, allowed) in [
            (Owner, Owner, Member, true),
            (Owner, Member, Owner, true),
            (Admin, Member, Admin, true),
            (Admin, Owner, Member, false),
            (Admin, Member, Owner, false),
        ] {
            assert_eq!(
                may_change_workspace_role(actor, from, to).is_ok(),
                allowed,
                "{actor:?} {from:?} {to:?}"
            );
        }
    }
}
