//! `Interrupt`: SIGINT and SIGTERM ask the cleaner to stop at its next batch. A second one ends the process at once,
//! which is no worse than a power cut: the next open repairs it.
//!
//! Lock: `state`, held while the cleaner is told to stop.

use std::sync::{Arc, Mutex, PoisonError};

use lastword_storage::LogCleaner;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::error::{CliError, Exit, Result};
use crate::output::say;

/// Signals that have come, and whom they stop.
#[derive(Clone, Default)]
pub struct Interrupt {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    is_asked: bool,
    cleaner: Option<Arc<LogCleaner>>,
}

impl Interrupt {
    /// From here on signals are heard.
    pub fn listen() -> Result<Interrupt> {
        let failed = |error: std::io::Error| {
            CliError::local("SIGNALS", "cannot listen for signals").why(error.to_string())
        };
        let interrupt = Interrupt::default();
        let runtime = Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(failed)?;
        let entered = runtime.enter();
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupted = signal(SignalKind::interrupt()).map_err(failed)?;
        drop(entered);
        let heard = interrupt.clone();
        let listening = std::thread::Builder::new().name("signals".to_owned());
        let listen = move || {
            runtime.block_on(async move {
                let mut next = async || {
                    tokio::select! {
                        _ = terminate.recv() => {}
                        _ = interrupted.recv() => {}
                    }
                };
                next().await;
                say("stopping at the next batch, then closing the directory");
                heard.ask();
                next().await;
                say("stopped at once: run the same command again, it checks the logs and goes on");
                std::process::exit(Exit::Interrupted as i32);
            });
        };
        listening.spawn(listen).map_err(failed)?;
        Ok(interrupt)
    }

    /// A signal stops this cleaner, also one that has come already.
    pub fn stops(&self, cleaner: &Arc<LogCleaner>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_asked {
            cleaner.stop();
        }
        state.cleaner = Some(cleaner.clone());
    }

    fn ask(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_asked = true;
        if let Some(cleaner) = &state.cleaner {
            cleaner.stop();
        }
    }
}
