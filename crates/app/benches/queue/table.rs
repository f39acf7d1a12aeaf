//! What was measured: medians of the rounds.

use std::time::Instant;

use crate::cluster::{Cluster, own_processor};

#[derive(Default)]
pub(crate) struct Table(Vec<(String, Vec<f64>)>);

impl Table {
    pub(crate) fn note(&mut self, what: &str, figure: f64) {
        match self.0.iter_mut().find(|(of, _)| of == what) {
            Some((_, figures)) => figures.push(figure),
            None => self.0.push((what.to_owned(), vec![figure])),
        }
    }

    /// Does `work` on `jobs` jobs, and notes its rate and what it cost.
    pub(crate) async fn phase(
        &mut self,
        cluster: &Cluster,
        whose: &str,
        phase: &str,
        jobs: usize,
        work: impl Future<Output = ()>,
    ) {
        let (server, client, began) = (cluster.processor(), own_processor(), Instant::now());
        work.await;
        let seconds = began.elapsed().as_secs_f64();
        self.cost(whose, phase, jobs, seconds, own_processor() - client, cluster.processor() - server);
    }

    /// Notes what `jobs` jobs took and cost, in seconds.
    pub(crate) fn cost(
        &mut self,
        whose: &str,
        phase: &str,
        jobs: usize,
        seconds: f64,
        client: f64,
        server: f64,
    ) {
        let jobs = f64::from(u32::try_from(jobs).unwrap());
        self.note(&format!("{phase}: {whose}, jobs/s"), jobs / seconds);
        self.note(&format!("{phase}: {whose}, client µs a job"), client * 1e6 / jobs);
        self.note(&format!("{phase}: {whose}, Postgres µs a job"), server * 1e6 / jobs);
    }

    /// Notes how long jobs waited for an idle worker, in milliseconds.
    pub(crate) fn waits(&mut self, whose: &str, mut waits: Vec<f64>) {
        waits.sort_by(f64::total_cmp);
        self.note(&format!("pick-up: {whose}, p50 ms"), waits[waits.len() / 2]);
        self.note(&format!("pick-up: {whose}, p99 ms"), waits[waits.len() * 99 / 100]);
    }

    pub(crate) fn print(mut self) {
        self.0.sort_by(|(a, _), (b, _)| a.split(':').next().cmp(&b.split(':').next()));
        println!("| measured | median |\n|---|---|");
        for (what, mut figures) in self.0 {
            figures.sort_by(f64::total_cmp);
            let median = figures[figures.len() / 2];
            println!("| {what} | {median:.*} |", usize::from(median < 100.0));
        }
    }
}
