//! Who asks.

use salvo::{Depot, Request};
use tenon_core::{Error, callers::Caller, tokens::Scope};

use crate::{
    csrf,
    endpoint::{Input, OpDoc, Operation},
    frame::{self, Frame, Presented},
    problem::Problem,
};

/// Who asks, if anybody says so. A credential that is no good is still refused.
#[derive(Debug, Clone)]
pub struct MaybeCaller(pub Option<Caller>);

impl Input for Caller {
    async fn extract(req: &mut Request, depot: &mut Depot) -> Result<Self, Problem> {
        find(req, depot)?.ok_or_else(|| Error::Unauthenticated.into())
    }
    fn describe(doc: &mut OpDoc) {
        doc.credential(false);
    }
}

impl Input for MaybeCaller {
    async fn extract(req: &mut Request, depot: &mut Depot) -> Result<Self, Problem> {
        find(req, depot).map(Self)
    }
    fn describe(doc: &mut OpDoc) {
        doc.credential(true);
    }
}

fn find(req: &Request, depot: &Depot) -> Result<Option<Caller>, Problem> {
    let frame = Frame::of(depot)?;
    let credential = match frame.present(req, depot)? {
        Presented::Nothing => return Ok(None),
        Presented::Bearer(credential) => credential,
        Presented::Cookie(credential) => {
            csrf::check(&*frame.verifier, &credential, req)?;
            credential
        }
    };
    let needs = depot
        .get_typed::<std::sync::Arc<Operation>>()
        .ok()
        .and_then(|operation| operation.scope)
        .unwrap_or(Scope::ReadAccount);
    Ok(Some(Caller { credential, needs, correlation_id: frame::correlation(depot).to_string() }))
}
