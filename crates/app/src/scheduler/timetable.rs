//! When something is done: a cron expression, read in a time zone.
//!
//! Where a zone's clocks are put forward, a time of day that is left out comes at the first moment after the gap. Where
//! they are put back, a time of day that comes twice counts the first time only. What is done every so many minutes
//! or hours goes by time that passes: it skips what is left out, and counts twice what comes twice.

use std::{fmt, str::FromStr};

use chrono::SubsecRound;
use croner::{
    errors::CronError,
    parser::{CronParser, Seconds, Year},
};
use serde::Deserialize;
use tenon_core::{Time, users::Timezone};

/// A cron expression: minute, hour, day of the month, month, day of the week; a field in front is for seconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Cron {
    text: String,
    parsed: croner::Cron,
}

/// Why a text is no cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a cron expression such as `15 3 * * *`: {problem}")]
pub struct NotCron {
    text: String,
    problem: String,
}

impl FromStr for Cron {
    type Err = NotCron;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = |problem: String| NotCron { text: text.to_owned(), problem };
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let parsed = parser.parse(text).map_err(|e| refused(in_words(e)))?;
        let cron = Self { text: text.trim().to_owned(), parsed };
        // A day such as the 30th of February; any moment will do to begin looking.
        if cron.parsed.find_next_occurrence(&Time::UNIX_EPOCH, false).is_err() {
            return Err(refused("there is no such time".to_owned()));
        }
        Ok(cron)
    }
}

impl TryFrom<String> for Cron {
    type Error = NotCron;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn in_words(error: CronError) -> String {
    let text = match error {
        CronError::EmptyPattern => "it is empty".to_owned(),
        CronError::InvalidPattern(text)
        | CronError::IllegalCharacters(text)
        | CronError::ComponentError(text) => text,
        other => other.to_string(),
    };
    text.trim_end_matches('.').to_owned()
}

/// When a schedule ticks.
#[derive(Debug, Clone)]
pub struct Timetable {
    /// The expression.
    pub cron: Cron,
    /// Where its hours and days are.
    pub zone: Timezone,
}

impl Timetable {
    /// The latest tick at or before `now`, if there was one since clocks were kept.
    pub fn latest(&self, now: Time) -> Option<Time> {
        let local = self.zone.local(now.trunc_subsecs(0));
        self.cron.parsed.find_previous_occurrence(&local, true).ok().map(|tick| tick.to_utc())
    }

    /// The next tick after `now`.
    pub fn next(&self, now: Time) -> Option<Time> {
        let local = self.zone.local(now.trunc_subsecs(0));
        self.cron.parsed.find_next_occurrence(&local, false).ok().map(|tick| tick.to_utc())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn timetable(cron: &str, zone: &str) -> Timetable {
        Timetable { cron: cron.parse().unwrap(), zone: Timezone::parse(zone).unwrap() }
    }

    fn at(text: &str) -> Time {
        text.parse().unwrap()
    }

    /// The next ticks after an instant, as the zone's clocks show them.
    fn next(timetable: &Timetable, after: &str, count: usize) -> Vec<String> {
        let ticks = std::iter::successors(Some(at(after)), |tick| timetable.next(*tick));
        ticks
            .skip(1)
            .take(count)
            .map(|tick| timetable.zone.local(tick).format("%d %H:%M %Z").to_string())
            .collect()
    }

    #[test]
    fn ticks_are_at_the_times_of_the_zone() {
        let nightly = timetable("15 3 * * *", "Europe/Berlin");
        assert_eq!(nightly.latest(at("2026-01-10T02:15:00Z")), Some(at("2026-01-10T02:15:00Z")));
        assert_eq!(nightly.latest(at("2026-01-10T02:14:59.9Z")), Some(at("2026-01-09T02:15:00Z")));
        assert_eq!(nightly.next(at("2026-01-10T02:15:00Z")), Some(at("2026-01-11T02:15:00Z")));
        assert_eq!(nightly.next(at("2026-07-10T00:00:00Z")), Some(at("2026-07-10T01:15:00Z")));
        let weekdays = timetable("0 9 * * MON-FRI", "America/New_York");
        assert_eq!(next(&weekdays, "2026-01-09T20:00:00Z", 2), ["12 09:00 EST", "13 09:00 EST"]);
    }

    #[test]
    fn a_time_of_day_that_is_left_out_comes_right_after_the_gap() {
        let nightly = timetable("30 2 * * *", "Europe/Berlin");
        let ticks = next(&nightly, "2026-03-27T12:00:00Z", 3);
        assert_eq!(ticks, ["28 02:30 CET", "29 03:00 CEST", "30 02:30 CEST"]);
    }

    #[test]
    fn a_time_of_day_that_comes_twice_counts_once() {
        let nightly = timetable("30 2 * * *", "Europe/Berlin");
        let ticks = next(&nightly, "2026-10-24T12:00:00Z", 2);
        assert_eq!(ticks, ["25 02:30 CEST", "26 02:30 CET"]);
        // An hour later the same clocks show half past two again: still the first.
        assert_eq!(nightly.latest(at("2026-10-25T01:30:00Z")), Some(at("2026-10-25T00:30:00Z")));
    }

    #[test]
    fn what_is_done_every_half_hour_goes_by_time_that_passes() {
        let often = timetable("*/30 * * * *", "Europe/Berlin");
        assert_eq!(
            next(&often, "2026-03-29T00:00:00Z", 3),
            ["29 01:30 CET", "29 03:00 CEST", "29 03:30 CEST"]
        );
        let twice = next(&often, "2026-10-24T23:30:00Z", 6);
        assert_eq!(
            twice,
            [
                "25 02:00 CEST",
                "25 02:30 CEST",
                "25 02:00 CET",
                "25 02:30 CET",
                "25 03:00 CET",
                "25 03:30 CET"
            ]
        );
    }

    #[test]
    fn what_is_no_cron_expression_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "empty"),
            ("15 3 * *", "fields"),
            ("61 3 * * *", "out of bounds"),
            ("15 3 * * FUN", "illegal"),
            ("every day", ""),
            ("0 0 30 2 *", "no such time"),
            ("0 0 1 1 * * 2031", "fields"),
        ] {
            let error = text.parse::<Cron>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{text}` is not a cron expression such as")), "{error}");
            assert!(error.to_lowercase().contains(reason), "{error}");
        }
    }

    proptest! {
        /// Both directions agree, wherever clocks are put forward or back.
        #[test]
        fn the_latest_tick_is_the_one_before_the_next(
            seconds in 1_735_700_000_i64..1_830_000_000,
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu"]),
            cron in prop::sample::select(vec!["0 * * * *", "15 3 * * *", "30 2 * * *", "*/7 1-3 * * SUN", "5,35 */2 1 * *"]),
        ) {
            let timetable = timetable(cron, zone);
            let now = chrono::DateTime::from_timestamp(seconds, 0).unwrap();
            let (latest, next) = (timetable.latest(now).unwrap(), timetable.next(now).unwrap());
            prop_assert!(latest <= now && now < next, "{latest} {now} {next}");
            prop_assert_eq!(timetable.next(latest), Some(next));
            prop_assert_eq!(timetable.latest(next), Some(next));
            prop_assert_eq!(timetable.latest(next - chrono::Duration::seconds(1)), Some(latest));
        }
    }
}
