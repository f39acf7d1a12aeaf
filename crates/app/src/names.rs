//! Names that somebody typed, of things whose names are known: a queue, a kind of job, a schedule.

use tenon_core::Error;

/// How alike two names must be for one to be suggested for the other.
const ALIKE: f64 = 0.75;

/// Refuses a name that is none of `known`, suggesting the nearest, or else naming all.
pub(crate) fn check(what: &str, name: &str, known: &[&str]) -> Result<(), Error> {
    if known.contains(&name) {
        return Ok(());
    }
    Err(Error::UnknownName(refusal(what, name, known)))
}

fn refusal(what: &str, name: &str, known: &[&str]) -> String {
    let name = tenon_core::outside::clean(name, 100);
    let alike = known.iter().map(|other| (strsim::jaro_winkler(&name, other), *other));
    match alike.filter(|(alike, _)| *alike >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((_, nearest)) => format!("There is no {what} {name}; did you mean {nearest}?"),
        None => format!("There is no {what} {name}; there are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_is_refused_with_the_nearest() {
        let known = ["default", "mail"];
        assert!(check("queue", "mail", &known).is_ok());
        for (name, nearest) in [("mial", "mail"), ("Mail", "mail"), ("defualt", "default"), ("mails", "mail")]
        {
            let refusal = check("queue", name, &known).unwrap_err().to_string();
            assert_eq!(refusal, format!("There is no queue {name}; did you mean {nearest}?"));
        }
        let refusal = check("queue", "nosuch", &known).unwrap_err().to_string();
        assert_eq!(refusal, "There is no queue nosuch; there are default, mail");
        assert!(!check("queue", "a\0b\u{202e}", &known).unwrap_err().to_string().contains('\0'));
    }
}
