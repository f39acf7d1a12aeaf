//! Workflows: the boards of a project.

use serde::{Deserialize, Serialize};

use crate::{
    Time,
    ids::{ProjectId, WorkflowId},
    text::text_type,
};

text_type! {
    /// What a board is called, 1 to 250 characters.
    WorkflowName: line(1, 250);
}

/// A board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workflow {
    /// Id.
    pub id: WorkflowId,
    /// Project.
    pub project_id: ProjectId,
    /// Name.
    pub name: WorkflowName,
    /// Word in addresses, unique in the project; old ones keep leading here.
    pub slug: String,
    /// Place among the project's boards, from 0.
    pub position: i32,
    /// Made at.
    pub created_at: Time,
    /// Increases with every change.
    pub version: i64,
}

/// A word for addresses: letters and digits of `name`, lower-cased, joined by `-`; at most 60 characters.
pub fn slug_of(name: &str) -> String {
    use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
    let plain: String = name.nfd().filter(|c| !is_combining_mark(*c)).collect::<String>().to_lowercase();
    let words: Vec<&str> = plain.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let slug: String = words.join("-").chars().take(60).collect();
    let slug = slug.trim_matches('-').to_owned();
    if slug.is_empty() { "board".to_owned() } else { slug }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_plain_and_never_empty() {
        assert_eq!(slug_of("Diseño & Código"), "diseno-codigo");
        assert_eq!(slug_of("!!!"), "board");
        assert_eq!(slug_of("看板 1"), "看板-1");
    }
}
