//! Entity tags as they come back: proxies that compress make them weak (nginx, Caddy) or put the coding behind them
//! (Apache `-gzip`, Jetty `--gzip`, we ourselves `+gzip`).
//!
//! Ours begin with the version of the thing, then a hash of how it was shown: `"7-3f9ac1d27be04581"`. So whatever became of
//! the tag on its way, the version can be told from it.

/// The first entity tag of a list without its quotes and its `W/`, and the rest of the list.
pub(crate) fn first(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("W/").unwrap_or(text);
    let (tag, after) = rest.strip_prefix('"')?.split_once('"')?;
    let after = after.trim_start();
    let after = if after.is_empty() { after } else { after.strip_prefix(',')?.trim_start() };
    Some((tag, after))
}

/// The version in a tag of ours.
pub(crate) fn version_of(tag: &str) -> Option<i64> {
    let (version, hash) = tag.split_once('-')?;
    let digits = hash.bytes().take_while(u8::is_ascii_hexdigit).count();
    if digits > 0 && is_suffix(&hash[digits..]) { version.parse().ok().filter(|v| *v > 0) } else { None }
}

/// Whether `given` is `ours`, apart from what a proxy put behind it.
pub(crate) fn is_same(given: &str, ours: &str) -> bool {
    given.strip_prefix(ours).is_some_and(is_suffix)
}

/// Nothing, or a mark and a word.
fn is_suffix(text: &str) -> bool {
    text.is_empty() || text.starts_with(['-', '+', ';', '.', ':', '_', '~'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proxies_put_behind_a_tag_does_not_change_what_it_names() {
        const OURS: &str = "7-3f9ac1d27be04581";
        for suffix in ["", "-gzip", "--gzip", ";gzip", "+gzip", "-br", ":zstd"] {
            let given = format!("{OURS}{suffix}");
            assert_eq!(version_of(&given), Some(7), "{given}");
            assert!(is_same(&given, OURS), "{given}");
        }
        for other in ["7-3f9ac1d27be04581f", "8-3f9ac1d27be04581", "7-3f9a"] {
            assert!(!is_same(other, OURS), "{other}");
        }
        for foreign in ["abc", "7", "7-", "7-xyz", "0-3f9a", "-3f9a", "7-3f9axyz"] {
            assert_eq!(version_of(foreign), None, "{foreign}");
        }
    }
}
