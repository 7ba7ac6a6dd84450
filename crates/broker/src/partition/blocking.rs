//! Where an async task crosses into blocking I/O.
//!
//! Appends and small reads from the page cache stay on the runtime's threads: they take
//! microseconds, a thread switch takes as long. What may wait for the disk goes through here.

use lastword_protocol::ErrorCode;

use crate::error_map::ApiError;

/// Runs `work` on the blocking pool. A panic in it becomes an error of this one request.
pub async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "blocking work failed");
        ApiError::from(ErrorCode::UnknownServerError)
    })
}
