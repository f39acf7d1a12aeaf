//! The templates, embedded.

use std::{fmt::Write, sync::LazyLock};

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};

/// `(name, source)` of every template; a missing file does not compile.
macro_rules! templates {
    ([$($lang:literal)*] $mails:tt) => {
        &[$(templates!(@lang $lang $mails)),*]
    };
    (@lang $lang:literal [$($mail:literal)*]) => {
        &[
            template!($lang, "/common/greeting.j2"),
            template!($lang, "/common/footer.j2"),
            template!($lang, "/common/copy.j2"),
            template!($lang, "/common/api.j2"),
            $(
                template!($lang, "/", $mail, "/subject.j2"),
                template!($lang, "/", $mail, "/text.j2"),
                template!($lang, "/", $mail, "/html.j2"),
            )*
        ]
    };
}
macro_rules! template {
    ($($part:literal),*) => {
        (concat!($($part),*), include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/mail/", $($part),*)))
    };
}

type Template = (&'static str, &'static str);

const LAYOUTS: [Template; 2] = [template!("layout.text.j2"), template!("layout.html.j2")];

const MAILS: &[&[Template]] = templates!(["en" "es" "fr"] [
    "verify_email"
    "sign_up_attempted"
    "reset_password"
    "password_changed"
    "change_email_old"
    "change_email_new"
    "email_changed"
    "new_login"
    "workspace_invitation"
    "project_invitation"
]);

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|name| {
        if name.ends_with("html.j2") { AutoEscape::Html } else { AutoEscape::None }
    });
    environment.set_formatter(|out, state, value| {
        if state.auto_escape() == AutoEscape::Html && !value.is_safe() && !value.is_undefined() {
            return escape(out, &value.to_string()).map_err(minijinja::Error::from);
        }
        minijinja::escape_formatter(out, state, value)
    });
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    for (name, source) in LAYOUTS.iter().chain(MAILS.iter().copied().flatten()) {
        environment.add_template(name, source).expect("every template parses, which a test proves");
    }
    environment
});

/// Escapes for text and for quoted attributes. minijinja's own escapes `/` as well, and a link full of
/// entities is what filters take for a disguise.
fn escape(out: &mut minijinja::Output<'_>, text: &str) -> std::fmt::Result {
    for c in text.chars() {
        match c {
            '&' => out.write_str("&amp;")?,
            '<' => out.write_str("&lt;")?,
            '>' => out.write_str("&gt;")?,
            '"' => out.write_str("&quot;")?,
            '\'' => out.write_str("&#39;")?,
            c => out.write_char(c)?,
        }
    }
    Ok(())
}

/// Renders one template.
pub(super) fn render(name: &str, values: Value) -> Result<String, minijinja::Error> {
    ENVIRONMENT.get_template(name)?.render(values)
}
