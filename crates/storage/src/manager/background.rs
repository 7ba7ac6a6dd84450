//! The engine's own threads: one that syncs, one that ticks. Optional: an embedder may call
//! `Log::sync` and `LogManager::tick` himself.
//!
//! Lock: `stop`, whether the tick thread is to end; it waits on it between two ticks and does not hold it during one.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tracing::error;

use super::LogManager;
use crate::sync;

/// The running threads. Dropping it stops them, after what is dirty has been synced.
pub struct Background {
    manager: Arc<LogManager>,
    stop: Arc<(Mutex<bool>, Condvar)>,
    threads: Vec<JoinHandle<()>>,
}

/// Starts the sync thread and the tick thread.
pub fn start_background(manager: &Arc<LogManager>) -> io::Result<Background> {
    let mut background = start_sync_thread(manager)?;
    let stop = Arc::clone(&background.stop);
    let ticking = Arc::clone(manager);
    let tick = thread::Builder::new().name("log-tick".to_string());
    let tick = tick.spawn(move || tick_until_stopped(&ticking, &stop))?;
    background.threads.push(tick);
    Ok(background)
}

/// Starts the sync thread only.
pub fn start_sync_thread(manager: &Arc<LogManager>) -> io::Result<Background> {
    manager.context.sync_queue.restart();
    let syncing = Arc::clone(manager);
    let thread = thread::Builder::new().name("log-sync".to_string());
    let thread = thread.spawn(move || {
        sync::run(&syncing.context, &|| syncing.logs());
    })?;
    Ok(Background {
        manager: Arc::clone(manager),
        stop: Arc::default(),
        threads: vec![thread],
    })
}

impl Background {
    /// Stops the threads and waits for them.
    pub fn stop(mut self) {
        self.stop_threads();
    }

    fn stop_threads(&mut self) {
        self.manager.context.sync_queue.stop();
        let (is_stopped, changed) = &*self.stop;
        *is_stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
        for thread in self.threads.drain(..) {
            let name = thread.thread().name().unwrap_or_default().to_string();
            if thread.join().is_err() {
                error!(thread = name, "a thread of the log engine has panicked");
            }
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop_threads();
    }
}

fn tick_until_stopped(manager: &LogManager, stop: &(Mutex<bool>, Condvar)) {
    let interval = Duration::from_millis(manager.config.tick_interval_ms.max(1));
    let (is_stopped, changed) = stop;
    loop {
        let guard = is_stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let (guard, _) = changed
            .wait_timeout_while(guard, interval, |stopped| !*stopped)
            .unwrap_or_else(PoisonError::into_inner);
        if *guard {
            return;
        }
        drop(guard);
        manager.tick(manager.context.clock.now_ms());
    }
}
