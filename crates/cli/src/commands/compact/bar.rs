//! The bar on standard error: one line that is drawn over. On anything but a terminal there is none, because results
//! come as plain lines anyway.

use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::time::Instant;

use clap::ValueEnum;
use lastword_storage::cleaner::Phase;

use super::Job;
use crate::output::human_bytes;
use crate::terminal;
use crate::time::human_duration;

const WIDTH: usize = 24;
/// Share of a cleaning after which the key indexes are there, and after which it is planned.
const INDEXED: f64 = 0.4;
const PLANNED: f64 = 0.5;

/// When a bar is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless CI is set
    #[default]
    Auto,
    Always,
    Never,
}

impl When {
    pub fn is_on(self) -> bool {
        match self {
            When::Auto => terminal::wants_progress(),
            When::Always => true,
            When::Never => false,
        }
    }
}

/// The bar of one command.
pub struct Bar {
    is_on: bool,
    is_dry_run: bool,
    is_drawn: bool,
    start: Instant,
}

impl Bar {
    pub fn new(when: When, is_dry_run: bool) -> Bar {
        Bar {
            is_on: when.is_on(),
            is_dry_run,
            is_drawn: false,
            start: Instant::now(),
        }
    }

    /// Takes the bar away, so that a line can be printed in its place.
    pub fn clear(&mut self) {
        if self.is_drawn {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
            self.is_drawn = false;
        }
    }

    /// Draws how far the jobs are.
    pub fn draw(&mut self, jobs: &[Job]) {
        if !self.is_on || jobs.is_empty() {
            return;
        }
        let line = self.line(jobs);
        let mut err = io::stderr().lock();
        let _ = write!(err, "\r{line}\x1b[K");
        let _ = err.flush();
        self.is_drawn = true;
    }

    fn line(&self, jobs: &[Job]) -> String {
        let (mut done, mut total) = (0.0, 0.0);
        let mut finished = 0;
        let mut now = None;
        for job in jobs {
            let share = if job.is_finished.load(Ordering::Relaxed) {
                finished += 1;
                1.0
            } else {
                let share = self.share(job);
                if share > 0.0 && now.is_none() {
                    now = Some(job);
                }
                share
            };
            // A log without a byte to clean takes a moment as well.
            let weight = job.bytes.max(1) as f64;
            done += weight * share;
            total += weight;
        }
        let share = (done / total).clamp(0.0, 1.0);
        let filled = (share * WIDTH as f64) as usize;
        let bar = format!("{}{}", "#".repeat(filled), "-".repeat(WIDTH - filled));
        let bytes = human_bytes(total as i64);
        let mut line = format!(
            "[{bar}] {:3.0} % of {bytes}  {finished}/{} logs",
            share * 100.0,
            jobs.len()
        );
        let elapsed_ms = self.start.elapsed().as_millis() as f64;
        if share > 0.02 && share < 1.0 && elapsed_ms > 2_000.0 {
            let left_ms = elapsed_ms * (1.0 - share) / share;
            line.push_str(&format!("  {} left", human_duration(left_ms as i64)));
        }
        if let Some(job) = now {
            let step = match job.progress.view().phase {
                Phase::Rewriting => "rewriting",
                Phase::Indexing => "indexing",
                Phase::Waiting | Phase::Planning => "planning",
            };
            line.push_str(&format!("  {step} {}", job.log.topic_partition()));
        }
        line
    }

    /// How much of a cleaning is done, 0 to 1.
    fn share(&self, job: &Job) -> f64 {
        let view = job.progress.view();
        let step = view.done_bytes as f64 / view.expected_bytes.max(1) as f64;
        // Of a dry run the plan is the end.
        let rest = if self.is_dry_run { 1.0 / PLANNED } else { 1.0 };
        match view.phase {
            Phase::Waiting => 0.0,
            Phase::Indexing => INDEXED * step * rest,
            Phase::Planning => (INDEXED + (PLANNED - INDEXED) * step) * rest,
            Phase::Rewriting => PLANNED + (1.0 - PLANNED) * step,
        }
    }
}
