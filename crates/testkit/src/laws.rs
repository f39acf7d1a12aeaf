//! The ports' laws: one async function each, its name the sentence that must hold.
//!
//! A port's module has a `Fixture`, the laws, and a macro that turns them all into tests of one
//! adapter: `blob_laws!(s3, fixtures::s3)` gives `s3::missing_is_not_found` and its siblings. The
//! fixture function is async and gives `None`, said loudly, where its service is absent.

pub mod blob;
pub mod bus;
pub mod cache;
pub mod limiter;
pub mod mail;
pub mod queue;

use std::{future::Future, time::Duration};

use futures_util::FutureExt as _;

/// The longest that anything in a law may take.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Gives what `future` gives, or fails when that takes too long.
pub async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.expect("it happens within the deadline")
}

/// Whether `law` fails: how a saboteur's test finds out that it was caught.
pub async fn is_broken(law: impl Future<Output = ()>) -> bool {
    std::panic::AssertUnwindSafe(law).catch_unwind().await.is_err()
}

/// A name that no other test uses.
pub fn unique(what: &str) -> String {
    format!("{what}-{}", uuid::Uuid::now_v7().simple())
}

/// Declares the list of a port's laws once: `LAWS` for the matrix, and the macro for the tests. Laws that are not in
/// the port's own file are in the files named.
macro_rules! laws {
    ($macro:ident, $port:ident, [$($law:ident),* $(,)?]) => {
        $crate::laws::laws!($macro, $port, in [concat!(stringify!($port), ".rs")], [$($law),*]);
    };
    ($macro:ident, $port:ident, in [$($file:expr),* $(,)?], [$($law:ident),* $(,)?]) => {
        /// The names of all laws of this port.
        pub const LAWS: &[&str] = &[$(stringify!($law)),*];

        #[cfg(test)]
        #[test]
        fn every_law_is_listed() {
            let written: Vec<&str> = [$(include_str!($file)),*]
                .iter()
                .flat_map(|source| source.lines())
                .filter_map(|line| line.strip_prefix("pub async fn "))
                .filter_map(|line| line.split('(').next())
                .collect();
            assert_eq!(written, LAWS, "a law that is not listed is run by nobody");
        }

        $crate::laws::export_laws! { ($) $macro, $port, [$($law),*] }
    };
}

/// The exported half of [`laws!`]: `$d` is a dollar, which a macro cannot write otherwise.
macro_rules! export_laws {
    (($d:tt) $macro:ident, $port:ident, [$($law:ident),*]) => {
        /// Tests of one adapter, one for each law of this port: `(adapter, path of its fixture)`.
        #[macro_export]
        macro_rules! $macro {
            ($d adapter:ident, $d fixture:path) => {
                mod $d adapter {
                    $(
                        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                        async fn $law() {
                            if let Some(fixture) = $d fixture().await {
                                $crate::laws::$port::$law(fixture).await;
                            }
                        }
                    )*
                }
            };
        }
    };
}

use {export_laws, laws};
