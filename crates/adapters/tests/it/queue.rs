//! Queues.

use std::sync::Arc;

use tenon_adapters::queue::MemoryQueue;
use tenon_testkit::{clock::FakeClock, queue_laws};

pub(crate) mod fixtures {
    use futures_util::FutureExt as _;
    use tenon_testkit::laws::queue::Fixture;

    use super::*;

    #[expect(clippy::unused_async, reason = "fixtures are async, since most connect to something")]
    pub(crate) async fn memory() -> Option<Fixture> {
        let clock = FakeClock::new();
        let queue = Arc::new(MemoryQueue::new(Arc::new(clock.clone())));
        let seen = queue.clone();
        let dead = move || std::future::ready(seen.dead()).boxed();
        Some(Fixture { elsewhere: queue.clone(), queue, clock, dead: Box::new(dead), keep: Box::new(()) })
    }
}

queue_laws!(memory, crate::queue::fixtures::memory);
