//! What an operation says of itself, gathered from its inputs and its output.

use std::collections::BTreeSet;

use salvo::http::StatusCode;
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{
        self as oa, Ref, RefOr, Required, Schema,
        header::Header,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn},
        request_body::RequestBody,
        security::SecurityRequirement,
    },
};

use crate::problem;

/// The description of one operation, in the making.
#[derive(Default)]
pub struct OpDoc {
    pub(crate) operation: Operation,
    pub(crate) schemas: Vec<(String, RefOr<Schema>)>,
    pub(crate) path_names: BTreeSet<String>,
    pub(crate) query_names: BTreeSet<String>,
    /// Needs a credential.
    pub(crate) authenticated: bool,
    /// Takes a credential into account.
    pub(crate) credential_aware: bool,
    /// Reads or writes a body of any length, or a websocket: no time limit applies.
    pub(crate) streaming: bool,
    /// Takes a body of JSON.
    pub(crate) json_body: bool,
    /// Answers 101.
    pub(crate) websocket: bool,
}

impl OpDoc {
    /// A reference to the schema of `T`, which becomes a component of the document.
    pub fn schema<T: ToSchema>(&mut self) -> RefOr<Schema> {
        let schema = <T as PartialSchema>::schema();
        T::schemas(&mut self.schemas);
        let is_composed = matches!(&schema, RefOr::T(Schema::Array(_))) || is_plain(&schema);
        if is_composed {
            return schema;
        }
        self.schemas.push((T::name().into_owned(), schema));
        RefOr::Ref(Ref::from_schema_name(T::name()))
    }

    /// Adds the parameters of `T`.
    pub fn parameters<T: IntoParams>(&mut self, place: &ParameterIn) {
        for parameter in T::into_params(|| Some(place.clone())) {
            let names =
                if *place == ParameterIn::Path { &mut self.path_names } else { &mut self.query_names };
            names.insert(parameter.name.clone());
            self.add_parameter(parameter);
        }
    }

    /// Adds a header that callers may send.
    pub fn header_parameter(&mut self, name: &str, description: &str, example: &str) {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(description))
            .schema(Some(text()))
            .example(Some(example.into()))
            .build();
        self.add_parameter(parameter);
    }

    pub(crate) fn add_parameter(&mut self, parameter: Parameter) {
        self.operation.parameters.get_or_insert_default().push(parameter.into());
    }

    /// The body of the request: the same schema under each media type.
    pub fn body<T: ToSchema>(&mut self, media_types: &[&str]) {
        let schema = self.schema::<T>();
        self.json_body = true;
        self.raw_body(&schema, media_types);
    }

    /// A body that may be left out.
    pub fn optional_body<T: ToSchema>(&mut self, media_types: &[&str]) {
        self.body::<T>(media_types);
        if let Some(RefOr::T(body)) = &mut self.operation.request_body {
            body.required = None;
        }
    }

    pub(crate) fn raw_body(&mut self, schema: &RefOr<Schema>, media_types: &[&str]) {
        let mut body = RequestBody::builder().required(Some(Required::True));
        for media_type in media_types {
            body = body.content(*media_type, oa::Content::new(Some(schema.clone())));
        }
        self.operation.request_body = Some(body.build().into());
    }

    /// The answer of success.
    pub fn success<T: ToSchema>(&mut self, status: StatusCode, description: &str, headers: &[(&str, &str)]) {
        let schema = self.schema::<T>();
        let content = oa::Content::new(Some(schema));
        let response =
            oa::ResponseBuilder::new().description(description).content("application/json", content);
        self.respond(status, with_headers(response, headers));
    }

    /// An answer without a body.
    pub fn empty(&mut self, status: StatusCode, description: &str, headers: &[(&str, &str)]) {
        let response = oa::ResponseBuilder::new().description(description);
        self.respond(status, with_headers(response, headers));
    }

    pub(crate) fn respond(&mut self, status: StatusCode, response: oa::ResponseBuilder) {
        self.operation.responses.responses.insert(status.as_str().to_owned(), response.build().into());
    }

    /// Reading can be conditional.
    pub fn conditional(&mut self) {
        self.header_parameter(
            "If-None-Match",
            "The ETag of what you have; while it is current the answer is 304 without a body.",
            "\"7-3f9ac1d27be04581\"",
        );
        self.empty(StatusCode::NOT_MODIFIED, "You have it already.", &[]);
    }

    /// A problem this operation may answer. Named twice, its descriptions are joined.
    pub fn problem(&mut self, status: StatusCode, when: &str) {
        let key = status.as_str().to_owned();
        let before = match self.operation.responses.responses.get(&key) {
            Some(RefOr::T(response)) if response.description.contains(when) => return,
            Some(RefOr::T(response)) => format!("{} ", response.description),
            _ => String::new(),
        };
        let response = problem_response(&format!("{before}{when}"));
        self.operation.responses.responses.insert(key, response.into());
    }

    /// The operation can be called with a bearer token or the browser's cookie; `optional` if without, too.
    pub fn credential(&mut self, optional: bool) {
        self.credential_aware = true;
        self.authenticated |= !optional;
        let none: [&str; 0] = [];
        let security = self.operation.security.get_or_insert_default();
        security.push(SecurityRequirement::new("bearer", none));
        security.push(SecurityRequirement::new("cookie", none));
        if optional {
            security.push(SecurityRequirement::default());
        }
        self.problem(StatusCode::UNAUTHORIZED, "No valid credential.");
    }
}

/// The answer for a problem.
pub(crate) fn problem_response(description: &str) -> oa::Response {
    let schema: RefOr<Schema> = RefOr::Ref(Ref::from_schema_name("Problem"));
    oa::ResponseBuilder::new()
        .description(description)
        .content(problem::MEDIA_TYPE, oa::Content::new(Some(schema)))
        .build()
}

fn with_headers(response: oa::ResponseBuilder, headers: &[(&str, &str)]) -> oa::ResponseBuilder {
    headers.iter().fold(response, |response, (name, description)| {
        let mut header = Header::new(text());
        header.description = Some((*description).to_owned());
        response.header(*name, header)
    })
}

fn text() -> Schema {
    Schema::Object(oa::Object::with_type(oa::schema::Type::String))
}

/// Whether a schema is so small that a component would only be in the way: a bare string, a number, …
fn is_plain(schema: &RefOr<Schema>) -> bool {
    match schema {
        RefOr::T(Schema::Object(object)) => {
            object.properties.is_empty()
                && object.enum_values.is_none()
                && object.additional_properties.is_none()
                && object.schema_type != oa::schema::Type::Object.into()
        }
        _ => false,
    }
}
