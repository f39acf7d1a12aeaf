//! Statements written as SQL, prepared once per connection.
//!
//! `diesel::sql_query` is parsed and planned anew each time it runs. A [`Statement`] promises that its text is
//! constant, so the connection's statement cache may keep it. Rows are read by column name
//! (`QueryableByName`), values are bound in order of `$1, $2, …`.

use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    serialize::ToSql,
    sql_types::{HasSqlType, Untyped},
};

/// A constant SQL text with its bound values.
#[derive(Debug, Clone)]
pub struct Statement<B = ()> {
    text: &'static str,
    binds: B,
}

/// A statement without values yet; bind them in order.
pub const fn sql(text: &'static str) -> Statement {
    Statement { text, binds: () }
}

/// One bound value behind those before it.
#[derive(Debug, Clone)]
pub struct Bind<B, ST, V> {
    before: B,
    value: V,
    sql_type: std::marker::PhantomData<ST>,
}

impl<B> Statement<B> {
    /// Binds the next value as SQL type `ST`.
    pub fn bind<ST, V>(self, value: V) -> Statement<Bind<B, ST, V>> {
        Statement {
            text: self.text,
            binds: Bind { before: self.binds, value, sql_type: std::marker::PhantomData },
        }
    }
}

impl<B> Query for Statement<B> {
    type SqlType = Untyped;
}

impl<B> QueryId for Statement<B> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<B: Values> QueryFragment<Pg> for Statement<B> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(self.text);
        // Diesel writes a placeholder for each value it binds; the text has its own already, so
        // diesel's go into a comment.
        out.push_sql(" /*");
        self.binds.walk(out.reborrow())?;
        out.push_sql("*/");
        Ok(())
    }
}

/// A list of bound values.
pub trait Values {
    /// Hands the values to the pass, first to last.
    fn walk<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()>;
}

impl Values for () {
    fn walk<'b>(&'b self, _out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        Ok(())
    }
}

impl<B: Values, ST, V> Values for Bind<B, ST, V>
where
    V: ToSql<ST, Pg>,
    Pg: HasSqlType<ST>,
{
    fn walk<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.before.walk(out.reborrow())?;
        out.push_bind_param(&self.value)
    }
}
