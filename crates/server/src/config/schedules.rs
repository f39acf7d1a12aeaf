//! When schedules tick: their names and defaults are the application's, what is said here is put over them.

use std::{borrow::Cow, collections::BTreeMap};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Value, json};
use tenon_app::scheduler::{self, Cron, Schedule};
use tenon_core::users::Timezone;

/// All schedules.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schedules(scheduler::Schedules);

/// What may be said of one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    cron: Option<Cron>,
    #[serde(default, deserialize_with = "zone")]
    time_zone: Option<Timezone>,
    enabled: Option<bool>,
}

fn zone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timezone>, D::Error> {
    let name = String::deserialize(deserializer)?;
    let zone = Timezone::parse(&name).map_err(|_| {
        D::Error::custom(format!("there is no time zone {name}; they are written like Europe/Berlin"))
    });
    zone.map(Some)
}

impl Schedules {
    /// For the application.
    pub(crate) fn settings(&self) -> scheduler::Schedules {
        self.0.clone()
    }
}

impl<'de> Deserialize<'de> for Schedules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut schedules = scheduler::Schedules::default();
        for (name, said) in BTreeMap::<String, Said>::deserialize(deserializer)? {
            let schedule = schedules
                .get_mut(&name)
                .map_err(|_| D::Error::custom(format!("there is no schedule {name}")))?;
            if let Some(cron) = said.cron {
                schedule.timetable.cron = cron;
            }
            if let Some(zone) = said.time_zone {
                schedule.timetable.zone = zone;
            }
            schedule.is_enabled = said.enabled.unwrap_or(schedule.is_enabled);
        }
        Ok(Self(schedules))
    }
}

impl JsonSchema for Schedules {
    fn schema_name() -> Cow<'static, str> {
        "Schedules".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let schedules = scheduler::Schedules::default();
        let properties: serde_json::Map<String, Value> =
            schedules.iter().map(|schedule| (schedule.name().to_owned(), schema(schedule))).collect();
        let mut schema = Schema::default();
        schema.insert("type".to_owned(), "object".into());
        schema.insert("properties".to_owned(), properties.into());
        schema
    }
}

/// The keys of one schedule.
fn schema(schedule: &Schedule) -> Value {
    let meaning = format!(
        "When {}: minute, hour, day of the month, month, day of the week; a field in front is for seconds.",
        schedule.meaning()
    );
    json!({
        "type": "object",
        "properties": {
            "cron": {
                "type": "string", "format": "cron", "description": meaning,
                "default": schedule.timetable.cron.to_string(),
            },
            "time_zone": {
                "type": "string", "format": "time-zone", "description": "Where that is the time.",
                "default": schedule.timetable.zone,
            },
            "enabled": {
                "type": "boolean", "description": "Whether it is done by itself.",
                "default": schedule.is_enabled,
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::Sources;

    fn load(text: &str) -> Result<super::super::Config, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tenon.toml");
        std::fs::write(&path, text).unwrap();
        Sources { file: Some(path), ..Sources::default() }.load().map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_said_of_a_schedule_is_put_over_its_default() {
        let config = load(
            "[scheduler.schedules]\nsweep_blobs = { cron = '30 4 * * SUN', time_zone = 'Europe/Berlin' }\npurge_expired.enabled = false\n",
        )
        .unwrap();
        let schedules = config.scheduler.schedules.settings();
        let sweep = schedules.find("sweep_blobs").unwrap();
        assert_eq!(sweep.timetable.cron.to_string(), "30 4 * * SUN");
        assert_eq!(sweep.timetable.zone.as_str(), "Europe/Berlin");
        assert!(sweep.is_enabled);
        let purge = schedules.find("purge_expired").unwrap();
        assert_eq!((purge.timetable.cron.to_string().as_str(), purge.is_enabled), ("0 * * * *", false));
    }

    #[test]
    fn what_cannot_be_a_schedule_is_refused_by_its_key() {
        let of = |line: &str| load(&format!("[scheduler.schedules]\n{line}\n")).unwrap_err();
        let typo = of("sweep_blobs = { cron = '15 25 * * *' }");
        assert!(typo.starts_with("scheduler.schedules.sweep_blobs.cron: `15 25 * * *` is not a cron expression such as `15 3 * * *`: "), "{typo}");
        assert!(typo.contains("tenon.toml"), "{typo}");
        let zone = of("sweep_blobs = { time_zone = 'Europe/Berln' }");
        assert!(zone.starts_with("scheduler.schedules.sweep_blobs.time_zone: "), "{zone}");
        assert!(zone.contains("there is no time zone Europe/Berln"), "{zone}");
        let name = of("sweep_blob = { cron = '15 3 * * *' }");
        assert!(name.starts_with("there is no key scheduler.schedules.sweep_blob.cron (from "), "{name}");
        assert!(name.ends_with("did you mean scheduler.schedules.sweep_blobs.cron?"), "{name}");
        let field = of("sweep_blobs = { corn = '15 3 * * *' }");
        assert!(field.ends_with("did you mean scheduler.schedules.sweep_blobs.cron?"), "{field}");
        let kind = of("sweep_blobs = { enabled = 'maybe' }");
        assert!(kind.starts_with("scheduler.schedules.sweep_blobs.enabled must be true or false"), "{kind}");
    }
}
