//! Project templates: the boards a new project begins with.

use serde::{Deserialize, Serialize};

use crate::statuses::Category;

/// What a new project begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// Stable word.
    pub slug: String,
    /// Name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Name of its board.
    pub workflow: String,
    /// Columns of its board, and of every later board of the project.
    pub statuses: Vec<TemplateStatus>,
}

/// A column of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateStatus {
    /// Name.
    pub name: String,
    /// Shade.
    pub color: i16,
    /// What being in it means.
    pub category: Category,
}

/// The templates every instance has.
pub fn builtin() -> Vec<Template> {
    let column = |name: &str, color, category| TemplateStatus { name: name.to_owned(), color, category };
    vec![
        Template {
            slug: "kanban".to_owned(),
            name: "Kanban".to_owned(),
            description: "A board of columns; stories move from left to right.".to_owned(),
            workflow: "Main".to_owned(),
            statuses: vec![
                column("New", 1, Category::Todo),
                column("Ready", 2, Category::Todo),
                column("In progress", 3, Category::Doing),
                column("Done", 4, Category::Done),
            ],
        },
        Template {
            slug: "scrum".to_owned(),
            name: "Scrum".to_owned(),
            description: "A backlog and the columns of a sprint.".to_owned(),
            workflow: "Sprint".to_owned(),
            statuses: vec![
                column("Backlog", 1, Category::Todo),
                column("Sprint backlog", 2, Category::Todo),
                column("In progress", 3, Category::Doing),
                column("In review", 5, Category::Doing),
                column("Done", 4, Category::Done),
            ],
        },
        Template {
            slug: "blank".to_owned(),
            name: "Blank".to_owned(),
            description: "One board with one column to begin with.".to_owned(),
            workflow: "Main".to_owned(),
            statuses: vec![column("New", 1, Category::Todo)],
        },
    ]
}
