//! `Shared`: what every handler gets. The broker is there once it has started, and gone once it has stopped.
//!
//! Lock: `broker`, held to clone or replace a handle.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use lastword_broker::Broker;
use tokio::sync::watch;

use crate::feed::Feed;

/// How far the broker is.
pub enum Phase {
    /// It loads its directory.
    Recovering,
    /// It takes requests.
    Running(Arc<Broker>),
    /// It takes no more, and finishes what was begun.
    Stopping,
}

/// The state of the router.
pub struct Shared {
    broker: RwLock<Option<Arc<Broker>>>,
    started: Instant,
    has_stopped: watch::Sender<bool>,
    /// Whether requests may change anything; `lastword.http.admin.enable`.
    pub is_admin_enabled: bool,
    /// What streams.
    pub feed: Feed,
}

impl Shared {
    pub(crate) fn new(is_admin_enabled: bool) -> Arc<Shared> {
        Arc::new(Shared {
            broker: RwLock::new(None),
            started: Instant::now(),
            has_stopped: watch::Sender::new(false),
            is_admin_enabled,
            feed: Feed::new(),
        })
    }

    /// The broker runs from now on.
    pub(crate) fn set_broker(&self, broker: Arc<Broker>) {
        *self.broker.write().unwrap_or_else(PoisonError::into_inner) = Some(broker);
    }

    /// Lets go of the broker, and ends what streams.
    pub(crate) fn stop(&self) {
        self.has_stopped.send_replace(true);
        *self.broker.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// How far the broker is at this moment.
    pub fn phase(&self) -> Phase {
        let broker = self.broker.read().unwrap_or_else(PoisonError::into_inner);
        match &*broker {
            _ if *self.has_stopped.borrow() => Phase::Stopping,
            None => Phase::Recovering,
            Some(broker) if *broker.stopping.borrow() => Phase::Stopping,
            Some(broker) => Phase::Running(broker.clone()),
        }
    }

    /// True once the HTTP server stops: answers that stream end.
    pub fn stopped(&self) -> watch::Receiver<bool> {
        self.has_stopped.subscribe()
    }

    /// How long this server has been listening.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}
