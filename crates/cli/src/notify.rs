//! What a service manager is told, by the protocol of sd_notify(3): one datagram for each change, to `NOTIFY_SOCKET`.
//! Without that variable nothing is sent. A message that cannot be sent is no reason to stop serving.
//!
//! No lock, no state beyond the socket.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

/// Who started us and wants to know, if anybody does.
#[derive(Clone, Debug)]
pub struct Notify {
    to: Option<Arc<(UnixDatagram, SocketAddr)>>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// From the environment.
    pub fn from_env() -> Notify {
        let var = |name: &str| std::env::var(name).ok();
        let to = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let to = to.and_then(|name| {
            let socket = socket(&name);
            if let Err(error) = &socket {
                tracing::warn!(?name, %error, "NOTIFY_SOCKET cannot be used");
            }
            socket.ok()
        });
        Notify {
            to: to.map(Arc::new),
            watchdog: watchdog(
                var("WATCHDOG_USEC"),
                var("WATCHDOG_PID"),
                std::process::id(),
            ),
        }
    }

    /// A line for `systemctl status`.
    pub fn status(&self, status: &str) {
        self.send(&format!("STATUS={}", one_line(status)));
    }

    /// Clients are served from now on.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}", one_line(status)));
    }

    /// It has begun to stop.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=stopping");
    }

    /// Says that we live, twice in the time after which we would be taken for dead, for as long as tasks get their turn.
    /// Ready at once when nobody asked for it.
    pub async fn keep_alive(self) {
        let (Some(limit), true) = (self.watchdog, self.to.is_some()) else {
            return;
        };
        let mut ticks = tokio::time::interval(limit / 2);
        loop {
            ticks.tick().await;
            self.send("WATCHDOG=1");
        }
    }

    fn send(&self, message: &str) {
        let Some((socket, address)) = self.to.as_deref() else {
            return;
        };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            tracing::debug!(%error, "the service manager could not be told");
        }
    }
}

/// A path, or behind `@` a name of the abstract namespace.
fn socket(name: &OsString) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        _ => return Err(io::Error::from(io::ErrorKind::Unsupported)),
    };
    let socket = UnixDatagram::unbound()?;
    // Who does not read must not hold up the broker.
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

/// The limit, unless it is meant for another process.
fn watchdog(usec: Option<String>, pid: Option<String>, own_pid: u32) -> Option<Duration> {
    let is_ours = pid.is_none_or(|pid| pid.parse() == Ok(own_pid));
    let usec: u64 = usec.filter(|_| is_ours)?.parse().ok()?;
    (usec > 1).then(|| Duration::from_micros(usec))
}

/// A line break would begin another field.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_of_another_process_is_not_ours() {
        let usec = || Some("3000000".to_owned());
        let limit = Some(Duration::from_secs(3));
        assert_eq!(watchdog(usec(), None, 7), limit);
        assert_eq!(watchdog(usec(), Some("7".to_owned()), 7), limit);
        assert_eq!(watchdog(usec(), Some("8".to_owned()), 7), None);
        assert_eq!(watchdog(Some("soon".to_owned()), None, 7), None);
        assert_eq!(watchdog(None, None, 7), None);
    }

    #[test]
    fn an_abstract_name_is_reached_and_a_status_is_one_field() {
        let name = format!("lastword-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let receiver = UnixDatagram::bind_addr(&address).unwrap();
        let to = socket(&OsString::from(format!("@{name}"))).unwrap();
        let notify = Notify {
            to: Some(Arc::new(to)),
            watchdog: None,
        };
        notify.ready("serving\nREADY=0");
        let mut buffer = [0; 256];
        let length = receiver.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1\nSTATUS=serving READY=0");
        assert!(socket(&OsString::from("relative")).is_err());
    }
}
