//! What the process hands to every endpoint.

use std::{ops::Deref, sync::Arc};

use salvo::{Depot, Request};
use tenon_app::App;

use crate::{
    endpoint::{Input, OpDoc},
    frame,
    problem::Problem,
};

/// A value that the frame was given to hand on.
#[derive(Debug)]
pub struct State<T>(pub Arc<T>);

impl<T> Deref for State<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Send + Sync + 'static> Input for State<T> {
    async fn extract(_: &mut Request, depot: &mut Depot) -> Result<Self, Problem> {
        match depot.get_typed::<Arc<T>>() {
            Ok(value) => Ok(Self(Arc::clone(value))),
            Err(_) => {
                Err(Problem::internal(format!("no {} was handed to the frame", std::any::type_name::<T>())))
            }
        }
    }
    fn describe(_: &mut OpDoc) {}
}

/// The application.
#[derive(Debug)]
pub struct Ctx(pub Arc<App>);

impl Deref for Ctx {
    type Target = App;
    fn deref(&self) -> &App {
        &self.0
    }
}

impl Input for Ctx {
    async fn extract(req: &mut Request, depot: &mut Depot) -> Result<Self, Problem> {
        State::extract(req, depot).await.map(|State(app)| Self(app))
    }
    fn describe(_: &mut OpDoc) {}
}

/// The request's name in logs, jobs, mails and events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correlation(pub Arc<str>);

impl Input for Correlation {
    async fn extract(_: &mut Request, depot: &mut Depot) -> Result<Self, Problem> {
        Ok(Self(frame::correlation(depot)))
    }
    fn describe(_: &mut OpDoc) {}
}
