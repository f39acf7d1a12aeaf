//! Decisions that need more than one permission: pure functions, tested as a table.

use tenon_core::{
    Error, Result,
    invitations::{Delegation, PlaceRights},
    permissions::{Grantable, ProjectPermission, Rights, WorkspacePermission},
};

/// Whether `grantor` may turn rights from `from` into `to`: somebody's, by giving them another role; those of all who hold
/// a role, by editing it; those of a stranger, from [`Rights::NONE`], by an invitation or a token.
///
/// Nobody grants what they do not hold, so nobody raises their own role either. Only owners touch owners or make one.
/// Every grant is decided here.
pub fn may_grant<P: Grantable>(grantor: Rights<P>, from: Rights<P>, to: Rights<P>) -> Result<()> {
    if grantor.is_owner {
        return Ok(());
    }
    if from.is_owner || to.is_owner {
        return Err(Error::Forbidden("make or change owners"));
    }
    let granted = to.permissions.without(from.permissions);
    grantor.permissions.first_missing(granted).map_or(Ok(()), |words| Err(Error::Forbidden(words)))
}

/// Whether somebody with the rights `sender` may send an invitation that gives `gives`.
pub fn may_invite(sender: PlaceRights, gives: PlaceRights) -> Result<()> {
    match (sender, gives) {
        (PlaceRights::Workspace(sender), PlaceRights::Workspace(gives)) => {
            let needed = WorkspacePermission::CreateModifyMember;
            refuse_without(sender.permissions().has(needed), needed.as_str())?;
            may_grant(sender.rights(), Rights::NONE, gives.rights())
        }
        (PlaceRights::Project(sender), PlaceRights::Project(gives)) => {
            let needed = ProjectPermission::CreateModifyMember;
            refuse_without(sender.permissions.has(needed), needed.as_str())?;
            may_grant(sender, Rights::NONE, gives)
        }
        _ => Err(Error::internal("an invitation gives a role of another kind of place than its own")),
    }
}

/// Whether a pending invitation is still its sender's to send. When it is not, it opens nothing any more.
pub fn is_founded(delegation: &Delegation) -> bool {
    delegation.sender.is_some_and(|sender| may_invite(sender, delegation.gives).is_ok())
}

fn refuse_without(holds: bool, needed: &'static str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Forbidden(needed)) }
}

#[cfg(test)]
mod tests {
    use tenon_core::{
        permissions::{ProjectPermission as P, ProjectPermissions},
        roles::WorkspaceRole,
        tokens::{Scope, Scopes},
    };

    use super::*;

    fn rights(permissions: impl IntoIterator<Item = P>) -> Rights<ProjectPermissions> {
        Rights { is_owner: false, permissions: ProjectPermissions::of(permissions) }
    }

    fn owner() -> Rights<ProjectPermissions> {
        Rights { is_owner: true, permissions: ProjectPermissions::ALL }
    }

    fn admin() -> Rights<ProjectPermissions> {
        rights(P::ALL.iter().copied().filter(|p| *p != P::DeleteProject))
    }

    #[test]
    fn nobody_grants_what_they_do_not_hold() {
        let none = Rights::NONE;
        let gate = rights([P::CreateModifyMember]);
        let reader = rights([P::ViewStory]);
        let editor = rights([P::ViewStory, P::ModifyStory]);
        let gate_reader = rights([P::CreateModifyMember, P::ViewStory]);
        for (what, grantor, from, to, allowed) in [
            ("an owner makes an owner", owner(), reader, owner(), true),
            ("an owner unmakes one", owner(), owner(), reader, true),
            ("an admin makes an owner", admin(), editor, owner(), false),
            ("an admin unmakes an owner", admin(), owner(), editor, false),
            ("an admin makes an admin", admin(), editor, admin(), true),
            (
                "an admin adds what admins lack",
                admin(),
                editor,
                rights([P::ModifyProject, P::DeleteProject]),
                false,
            ),
            ("a gatekeeper invites a gatekeeper", gate, none, gate, true),
            ("a gatekeeper invites an admin", gate, none, admin(), false),
            ("a gatekeeper invites an owner", gate, none, owner(), false),
            ("a gatekeeper invites a reader, not being one", gate, none, reader, false),
            ("a gatekeeper who reads invites a reader", gate_reader, none, reader, true),
            ("somebody raises their own role", gate, gate, gate_reader, false),
            ("somebody becomes an admin", gate, gate, admin(), false),
            ("somebody takes from their own role", gate_reader, gate_reader, gate, true),
            ("what is there already is not granted", gate, editor, reader, true),
            ("what is there already stays", gate, reader, reader, true),
            ("a role is taken away", gate, admin(), none, true),
            ("one permission among those held", gate_reader, reader, editor, false),
        ] {
            assert_eq!(may_grant(grantor, from, to).is_ok(), allowed, "{what}");
        }
    }

    #[test]
    fn in_a_workspace_only_owners_touch_owners_or_make_one() {
        use WorkspaceRole::{Admin, Member, Owner, ReadonlyMember};
        for (actor, from, to, allowed) in [
            (Owner, Owner, Member, true),
            (Owner, Member, Owner, true),
            (Admin, Member, Admin, true),
            (Admin, Owner, Member, false),
            (Admin, Member, Owner, false),
            (Admin, Admin, ReadonlyMember, true),
            (Member, ReadonlyMember, Admin, false),
        ] {
            let decided = may_grant(actor.rights(), from.rights(), to.rights());
            assert_eq!(decided.is_ok(), allowed, "{actor:?} {from:?} {to:?}");
        }
    }

    #[test]
    fn a_refusal_names_the_permission() {
        let refused = may_grant(rights([P::ViewStory]), Rights::NONE, rights([P::ViewStory, P::ModifyStory]));
        assert_eq!(
            refused.unwrap_err().to_string(),
            "not allowed to grant modify_story, which you do not hold"
        );
    }

    #[test]
    fn only_administrators_give_a_token_the_scope_admin() {
        let to =
            |scopes: &[Scope]| Rights { is_owner: false, permissions: Scopes::of(scopes.iter().copied()) };
        let every = to(&Scope::ALL);
        assert!(may_grant(Scopes::held(true), Rights::NONE, every).is_ok());
        assert!(may_grant(Scopes::held(false), Rights::NONE, every).is_err());
        assert!(may_grant(Scopes::held(false), Rights::NONE, to(&Scope::ALL[..6])).is_ok());
    }

    #[test]
    fn an_invitation_is_good_while_its_sender_may_send_it() {
        use PlaceRights::{Project, Workspace};
        let gate = rights([P::CreateModifyMember, P::ViewStory]);
        let reader = rights([P::ViewStory]);
        for (what, sender, gives, good) in [
            ("by an owner", Some(Project(owner())), Project(owner()), true),
            ("by a gatekeeper", Some(Project(gate)), Project(reader), true),
            ("beyond the sender", Some(Project(gate)), Project(admin()), false),
            ("by somebody who may no longer invite", Some(Project(reader)), Project(reader), false),
            ("by somebody who is gone", None, Project(Rights::NONE), false),
            (
                "by an admin of a workspace",
                Some(Workspace(WorkspaceRole::Admin)),
                Workspace(WorkspaceRole::Admin),
                true,
            ),
            (
                "by a member",
                Some(Workspace(WorkspaceRole::Member)),
                Workspace(WorkspaceRole::ReadonlyMember),
                false,
            ),
            (
                "for an owner by an admin",
                Some(Workspace(WorkspaceRole::Admin)),
                Workspace(WorkspaceRole::Owner),
                false,
            ),
        ] {
            let delegation = Delegation { id: uuid::Uuid::nil().into(), sender, gives };
            assert_eq!(is_founded(&delegation), good, "{what}");
        }
    }
}
