//! Pages of lists.

use std::borrow::Cow;

use salvo::{Request, Response, http::StatusCode};
use serde::Serialize;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{Array, ObjectBuilder, Ref, RefOr, Schema, schema::Type},
};

use super::json::{serialize, write_json};
use crate::{
    endpoint::{OpDoc, Output},
    problem::Problem,
};

/// 200 with a page of a list.
#[derive(Debug, Serialize)]
pub struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<i64>,
}

impl<T> Page<T> {
    /// A page and the cursor of the next one, if there is one.
    pub fn new(items: Vec<T>, next_cursor: Option<String>) -> Self {
        Self { items, next_cursor, total: None }
    }

    /// The same page, with the length of the whole list, when the caller asked to count.
    #[must_use]
    pub fn with_total(mut self, total: Option<i64>) -> Self {
        self.total = total;
        self
    }
}

impl<T: ToSchema> PartialSchema for Page<T> {
    fn schema() -> RefOr<Schema> {
        let nullable = [Type::String, Type::Null].into_iter().collect::<Vec<_>>();
        let cursor = ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::SchemaType::Array(nullable))
            .description(Some("Send it as `cursor` for the next page; null on the last one."))
            .build();
        let total = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(utoipa::openapi::schema::SchemaFormat::KnownFormat(
                utoipa::openapi::schema::KnownFormat::Int64,
            )))
            .description(Some("How long the whole list is; only with `count=true`."))
            .build();
        ObjectBuilder::new()
            .property("items", Array::new(Ref::from_schema_name(T::name())))
            .required("items")
            .property("next_cursor", cursor)
            .required("next_cursor")
            .property("total", total)
            .extensions(Some([("x-partial", true)].into_iter().collect()))
            .build()
            .into()
    }
}

impl<T: ToSchema> ToSchema for Page<T> {
    fn name() -> Cow<'static, str> {
        // Not just `Page`: two generics of one name collide silently in the document.
        Cow::Owned(format!("{}Page", T::name()))
    }
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

impl<T: Serialize + ToSchema + Send + 'static> Output for Page<T> {
    fn describe(doc: &mut OpDoc) {
        doc.success::<Self>(StatusCode::OK, "A page of the list.", &[]);
    }
    async fn write(self, _: &mut Request, res: &mut Response) -> Result<(), Problem> {
        write_json(StatusCode::OK, serialize(&self)?, res);
        Ok(())
    }
}
