//! Figures of the components, as readiness finds them; also without anybody who asks for readiness.
//!
//! Asking is what finds out that Redis is away, or back, before a request has to.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use metrics::{describe_gauge, gauge};
use tenon_http::readiness::Readiness;

/// How often they are looked at.
const BEAT: Duration = Duration::from_secs(5);

pub(super) fn describe() {
    describe_gauge!(
        "component_ready",
        "1 while a component is ready, else 0; one that degrades the work leaves the process ready."
    );
}

/// Follows them for as long as it is polled.
pub(crate) async fn follow(readiness: Arc<Readiness>) {
    let mut away = BTreeSet::new();
    loop {
        for finding in &*readiness.findings().await {
            let kind = if finding.is_essential { "essential" } else { "degrading" };
            let is_ready = finding.fault.is_none();
            gauge!("component_ready", "component" => finding.name, "kind" => kind).set(if is_ready {
                1.0
            } else {
                0.0
            });
            match &finding.fault {
                Some(fault) if finding.is_degraded() && away.insert(finding.name) => {
                    tracing::warn!(
                        component.name = finding.name,
                        component.fault = fault,
                        "A component is away; the work goes on without it"
                    );
                }
                None if away.remove(finding.name) => {
                    tracing::info!(component.name = finding.name, "A component is back");
                }
                _ => {}
            }
        }
        tokio::time::sleep(BEAT).await;
    }
}
