//! Watches the statements of a connection: how long each takes, under a name that is the same for all that do the
//! same to the same table.

use std::{
    collections::HashMap,
    fmt::{self, Write},
    hash::{DefaultHasher, Hash, Hasher},
    time::Instant,
};

use diesel::connection::{Instrumentation, InstrumentationEvent};
use metrics::Histogram;

use super::Watch;

/// How much of a statement is looked at: enough for the columns before the table.
const ENOUGH: usize = 1024;
/// What diesel writes between a statement and its values, which are of no interest.
const VALUES: &str = " -- binds: ";
/// How many texts are remembered before all are forgotten. Only lists of values make texts of their own.
const MANY: usize = 1024;

/// One connection's.
#[derive(Default)]
pub(super) struct Observer {
    watch: Option<Watch>,
    text: Beginning,
    known: HashMap<u64, Histogram>,
    running: Option<(Histogram, Instant)>,
}

impl Observer {
    /// Also tells `watch`, if there is one, the text of each statement.
    pub(super) fn telling(watch: Option<Watch>) -> Self {
        Self { watch, ..Self::default() }
    }

    fn histogram(&mut self, query: &dyn fmt::Display) -> Histogram {
        self.text.0.clear();
        // An error means that enough is written.
        let _ = write!(self.text, "{query}");
        let mut hasher = DefaultHasher::new();
        self.text.0.hash(&mut hasher);
        if self.known.len() > MANY {
            self.known.clear();
        }
        self.known
            .entry(hasher.finish())
            .or_insert_with(
                || metrics::histogram!("db_query_duration_seconds", "query" => name(&self.text.0)),
            )
            .clone()
    }
}

impl Instrumentation for Observer {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartQuery { query, .. } => {
                if let Some(watch) = &self.watch {
                    watch(&query.to_string());
                }
                self.running = Some((self.histogram(&query), Instant::now()));
            }
            InstrumentationEvent::FinishQuery { .. } => {
                if let Some((histogram, began)) = self.running.take() {
                    histogram.record(began.elapsed().as_secs_f64());
                }
            }
            _ => {}
        }
    }
}

/// Takes the beginning of a text, and refuses more and all values, which ends the writing.
#[derive(Default)]
struct Beginning(String);

impl Write for Beginning {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text == VALUES {
            return Err(fmt::Error);
        }
        let room = ENOUGH.saturating_sub(self.0.len());
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        if room <= text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

/// The first word, and the first table: `select users`, `insert changes`, `begin`. With `with`, the first table may be
/// that of a part.
fn name(text: &str) -> String {
    let between = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | ';' | '"');
    let mut words = text.split(between).filter(|word| !word.is_empty());
    let verb = words.next().unwrap_or_default().to_ascii_lowercase();
    if !verb.bytes().all(|b| b.is_ascii_lowercase()) || verb.is_empty() {
        return "other".to_owned();
    }
    let names_table = |word: &str| ["from", "into", "update"].iter().any(|w| word.eq_ignore_ascii_case(w));
    let is_name = |word: &&str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.'))
    };
    let mut before = verb.as_str();
    for word in words {
        if names_table(before) && is_name(&word) {
            return format!("{verb} {word}");
        }
        before = word;
    }
    verb
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::{Beginning, ENOUGH, name};

    #[test]
    fn a_statement_is_named_by_what_it_does_to_which_table() {
        for (text, expected) in [
            (
                "SELECT \"users\".\"id\", \"users\".\"email\" FROM (\"users\" INNER JOIN x ON true)",
                "select users",
            ),
            ("INSERT INTO changes (stream) VALUES ($1) ON CONFLICT DO UPDATE SET a = 1", "insert changes"),
            ("UPDATE jobs SET worker = $1", "update jobs"),
            ("DELETE FROM \"maintenance\" -- binds: []", "delete maintenance"),
            ("WITH due AS (\n  SELECT id FROM jobs WHERE a IS DISTINCT FROM $1)\n SELECT 1", "with jobs"),
            ("SELECT 1 WHERE a IS DISTINCT FROM $1", "select"),
            ("SELECT pg_try_advisory_lock($1)", "select"),
            ("BEGIN", "begin"),
            ("/* odd */ SELECT 1", "other"),
            ("", "other"),
        ] {
            assert_eq!(name(text), expected, "{text}");
        }
    }

    #[test]
    fn values_are_not_kept() {
        let query = diesel::sql_query("SELECT $1").bind::<diesel::sql_types::Integer, _>(7);
        let mut beginning = Beginning::default();
        assert!(write!(beginning, "{}", diesel::debug_query::<diesel::pg::Pg, _>(&query)).is_err());
        assert_eq!(beginning.0, "SELECT $1");
    }

    #[test]
    fn only_the_beginning_is_kept() {
        let mut beginning = Beginning::default();
        assert!(write!(beginning, "{}", "é".repeat(ENOUGH)).is_err());
        assert_eq!(beginning.0.len(), ENOUGH);
    }
}
