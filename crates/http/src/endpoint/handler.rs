//! Functions as endpoints: inputs extract themselves from the request, the output writes itself.

#![expect(non_snake_case, reason = "the type parameters of `api_fn!` double as names of arguments")]

use std::{marker::PhantomData, sync::Arc};

use salvo::{
    Depot, FlowCtrl, Handler, Request, Response,
    http::{StatusCode, header},
};

use super::{describe::OpDoc, registry::Operation};
use crate::{
    frame::{self, Frame},
    problem::Problem,
};

/// An argument of an endpoint.
pub trait Input: Sized + Send + 'static {
    /// Takes the argument out of the request.
    fn extract(req: &mut Request, depot: &mut Depot) -> impl Future<Output = Result<Self, Problem>> + Send;
    /// Says what the request must have for it.
    fn describe(doc: &mut OpDoc);
}

/// The result of an endpoint.
pub trait Output: Send + 'static {
    /// Says which answers are possible.
    fn describe(doc: &mut OpDoc);
    /// Becomes the answer.
    fn write(self, req: &mut Request, res: &mut Response)
    -> impl Future<Output = Result<(), Problem>> + Send;
}

/// An async function of inputs that returns `Result<impl Output, Problem>`.
pub trait ApiFn<Args>: Send + Sync + 'static {
    /// Extracts, calls and writes.
    fn call(
        &self,
        operation: &Operation,
        req: &mut Request,
        depot: &mut Depot,
        res: &mut Response,
    ) -> impl Future<Output = Result<(), Problem>> + Send;
    /// Gathers what the inputs and the output say.
    fn describe(doc: &mut OpDoc);
}

macro_rules! api_fn {
    ($($input:ident),*) => {
        impl<Function, Answer, Out, $($input),*> ApiFn<($($input,)*)> for Function
        where
            Function: Fn($($input),*) -> Answer + Send + Sync + 'static,
            Answer: Future<Output = Result<Out, Problem>> + Send + 'static,
            Out: Output,
            $($input: Input,)*
        {
            async fn call(
                &self,
                operation: &Operation,
                req: &mut Request,
                depot: &mut Depot,
                res: &mut Response,
            ) -> Result<(), Problem> {
                $(let $input = $input::extract(req, depot).await?;)*
                let _ = &depot;
                operation.check_query(req)?;
                self($($input),*).await?.write(req, res).await
            }
            fn describe(doc: &mut OpDoc) {
                Out::describe(doc);
                $($input::describe(doc);)*
            }
        }
    };
}

macro_rules! api_fns {
    ($(($($input:ident),*))*) => { $(api_fn!($($input),*);)* };
}
api_fns! { () (A) (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) (A, B, C, D, E, F, G) (A, B, C, D, E, F, G, H) }

/// A function mounted as a handler.
pub(super) struct Endpoint<Function, Args> {
    pub(super) operation: Arc<Operation>,
    pub(super) function: Function,
    pub(super) args: PhantomData<fn() -> Args>,
}

#[salvo::async_trait]
impl<Function: ApiFn<Args>, Args: 'static> Handler for Endpoint<Function, Args> {
    async fn handle(&self, req: &mut Request, depot: &mut Depot, res: &mut Response, _: &mut FlowCtrl) {
        depot.insert_typed(Arc::clone(&self.operation));
        let answer = match check_origin(&self.operation, req, depot) {
            Ok(()) => self.function.call(&self.operation, req, depot, res).await,
            Err(problem) => Err(problem),
        };
        if let Err(problem) = answer {
            problem.write(&frame::correlation(depot), res);
        }
    }
}

/// A browser sends its cookie with the handshake of any page, and CORS does not apply to websockets.
fn check_origin(operation: &Operation, req: &Request, depot: &Depot) -> Result<(), Problem> {
    let Some(origin) = req.headers().get(header::ORIGIN).filter(|_| operation.websocket) else {
        return Ok(());
    };
    let frame = Frame::of(depot)?;
    let known = origin.to_str().is_ok_and(|text| frame.admits_page(text, req));
    if known {
        Ok(())
    } else {
        let detail = "Pages of this origin may not open a websocket here.";
        Err(Problem::new(StatusCode::FORBIDDEN, "origin-not-allowed", detail))
    }
}
