//! Values with a unit, as people write them: `30s`, `100MiB`, `600/1m`, `10.0.0.0/8`.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use tenon_core::ports::limiter::Budget;

/// A length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(Duration);

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(u64);

/// So many calls in a length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) calls: u32,
    pub(crate) window: Span,
}

/// An address, or all addresses that begin like it, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Network {
    text: String,
    network: tenon_http::network::Network,
}

impl Span {
    pub(crate) const fn seconds(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }
    pub(crate) const fn minutes(n: u64) -> Self {
        Self::seconds(n * 60)
    }
    pub(crate) const fn days(n: u64) -> Self {
        Self::seconds(n * 86_400)
    }
    pub(crate) const fn duration(self) -> Duration {
        self.0
    }
}

impl Size {
    pub(crate) const fn mebibytes(n: u64) -> Self {
        Self(n << 20)
    }
    pub(crate) const fn bytes(self) -> u64 {
        self.0
    }
}

impl From<Rate> for Budget {
    fn from(rate: Rate) -> Self {
        Self { calls: rate.calls, window: rate.window.duration() }
    }
}

impl Rate {
    pub(crate) const fn per(calls: u32, window: Span) -> Self {
        Self { calls, window }
    }
    pub(crate) const fn per_minute(calls: u32) -> Self {
        Self::per(calls, Span::minutes(1))
    }
}

const TIMES: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// `<whole number><unit>`, times what the unit stands for.
fn parse_with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// With the largest unit that leaves a whole number.
fn write_with_unit(f: &mut fmt::Formatter<'_>, value: u64, units: &[(&str, u64)]) -> fmt::Result {
    let fits = |(_, factor): &&(&str, u64)| value != 0 && value.is_multiple_of(*factor);
    let (unit, factor) = units.iter().rev().find(fits).unwrap_or(&units[0]);
    write!(f, "{}{unit}", value / factor)
}

impl FromStr for Span {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let milliseconds = parse_with_unit(text, &TIMES)
            .ok_or("expected a length of time such as 500ms, 30s, 15m, 12h or 7d")?;
        Ok(Self(Duration::from_millis(milliseconds)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_with_unit(f, u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), &TIMES)
    }
}

impl FromStr for Size {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_with_unit(text, &SIZES).map(Self).ok_or("expected a size such as 512KiB, 100MiB or 1GiB")
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_with_unit(f, self.0, &SIZES)
    }
}

impl FromStr for Rate {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('/').and_then(|(calls, window)| {
            let calls = calls.trim().parse().ok().filter(|calls| *calls > 0)?;
            let window = window.trim().parse().ok().filter(|window: &Span| !window.0.is_zero())?;
            Some(Self { calls, window })
        });
        parts.ok_or("expected so many calls in a length of time, such as 600/1m")
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.calls, self.window)
    }
}

impl Network {
    pub(crate) const fn network(&self) -> tenon_http::network::Network {
        self.network
    }
}

impl FromStr for Network {
    type Err = tenon_http::network::NotANetwork;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self { text: text.to_owned(), network: text.parse()? })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Read from and written as text; `$format` names the type in the reference.
macro_rules! as_text {
    ($($type:ident $format:literal),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": $format })
            }
        }
    )*};
}

as_text!(Span "duration", Size "size", Rate "rate", Network "network");

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Network, Rate, Size, Span};

    #[test]
    fn what_people_write_comes_back_as_they_wrote_it() {
        for text in ["500ms", "30s", "15m", "12h", "7d"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for text in ["1B", "512KiB", "100MiB", "1GiB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        assert_eq!("600/1m".parse::<Rate>().unwrap().to_string(), "600/1m");
        assert_eq!("fd00::/8".parse::<Network>().unwrap().to_string(), "fd00::/8");
        assert_eq!("127.0.0.1".parse::<Network>().unwrap().to_string(), "127.0.0.1");
        assert_eq!("90s".parse::<Span>().unwrap().duration(), Duration::from_secs(90));
    }

    #[test]
    fn a_value_without_its_unit_is_refused() {
        assert!("30".parse::<Span>().is_err());
        assert!("".parse::<Span>().is_err());
        assert!("99999999999999999999d".parse::<Span>().is_err());
        assert!("100".parse::<Size>().is_err());
        assert!("600".parse::<Rate>().is_err());
        assert!("0/1m".parse::<Rate>().is_err());
        assert!("10.0.0.0/33".parse::<Network>().is_err());
    }
}
