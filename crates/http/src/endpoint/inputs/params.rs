//! Parameters in the path and in the query.

use salvo::{
    Depot, Request,
    http::{StatusCode, header},
};
use serde::de::DeserializeOwned;
use utoipa::{IntoParams, openapi::path::ParameterIn};

use crate::{
    endpoint::{Input, OpDoc, faults},
    problem::Problem,
};

/// The parameters of the path. One that does not parse names nothing that exists: 404.
#[derive(Debug, Clone)]
pub struct Path<T>(pub T);

/// Parameters of the query. Several of these may stand side by side; what none of them declares is
/// refused.
///
/// A list is a repeated parameter (`?status=a&status=b`) and a `Vec` with `#[serde(default)]`.
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + IntoParams + Send + 'static> Input for Path<T> {
    async fn extract(req: &mut Request, _: &mut Depot) -> Result<Self, Problem> {
        let nothing = || Problem::not_found("thing");
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (name, value) in req.params().iter() {
            if value.contains('\0') {
                return Err(nothing());
            }
            form.append_pair(name, value);
        }
        serde_html_form::from_str(&form.finish()).map(Self).map_err(|_| nothing())
    }

    fn describe(doc: &mut OpDoc) {
        doc.parameters::<T>(&ParameterIn::Path);
        doc.problem(StatusCode::NOT_FOUND, "Not there, or not yours to see.");
    }
}

impl<T: DeserializeOwned + IntoParams + Send + 'static> Input for Query<T> {
    async fn extract(req: &mut Request, _: &mut Depot) -> Result<Self, Problem> {
        let query = req.uri().query().unwrap_or_default();
        let nul = form_urlencoded::parse(query.as_bytes()).find(|(_, value)| value.contains('\0'));
        if let Some((name, _)) = nul {
            let detail = "must not contain control characters";
            return Err(faults::one(name, "control-character", detail));
        }
        let empty = form_urlencoded::parse(query.as_bytes()).find(|(_, value)| value.is_empty());
        if let Some((name, _)) = empty {
            return Err(faults::one(name, "empty", "must not be empty; leave the parameter out instead"));
        }
        let form = serde_html_form::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(form).map(Self).map_err(|error| {
            let name = error.path().to_string();
            let name = name.split(['.', '[']).next().unwrap_or_default();
            Problem::invalid(vec![faults::of_message(name, false, &error.inner().to_string())])
        })
    }

    fn describe(doc: &mut OpDoc) {
        doc.parameters::<T>(&ParameterIn::Query);
    }
}

/// The value of a header, where there is exactly one that is text.
pub(crate) fn header_text<'a>(req: &'a Request, name: &header::HeaderName) -> Option<&'a str> {
    let mut values = req.headers().get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}
