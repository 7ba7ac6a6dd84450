//! The bar of a cleaning on a running broker, on standard error; none where that is no terminal.

use std::io::{self, Write};

use super::bar::When;
use super::live::{RequestProgress, human};

const WIDTH: usize = 24;

/// One line that is drawn over.
pub struct Meter {
    is_on: bool,
    is_drawn: bool,
}

impl Meter {
    pub fn new(when: When) -> Meter {
        Meter {
            is_on: when.is_on(),
            is_drawn: false,
        }
    }

    pub fn draw(&mut self, name: &str, progress: Option<&RequestProgress>) {
        if !self.is_on {
            return;
        }
        let line = line(name, progress);
        let mut err = io::stderr().lock();
        let _ = write!(err, "\r{line}\x1b[K");
        let _ = err.flush();
        self.is_drawn = true;
    }

    pub fn clear(&mut self) {
        if self.is_drawn {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
            self.is_drawn = false;
        }
    }
}

fn line(name: &str, progress: Option<&RequestProgress>) -> String {
    let Some(progress) = progress else {
        return format!("{name}  waiting");
    };
    let share = progress.done_bytes as f64 / progress.expected_bytes.max(1) as f64;
    let filled = (share.clamp(0.0, 1.0) * WIDTH as f64) as usize;
    format!(
        "[{}{}] {:3.0} % of {}  {} {name}",
        "#".repeat(filled),
        "-".repeat(WIDTH - filled),
        share * 100.0,
        human(progress.expected_bytes),
        progress.phase
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_has_its_width_however_much_is_done() {
        for (done_bytes, filled) in [(0, 0), (50, 12), (100, 24), (900, 24)] {
            let progress = RequestProgress {
                phase: "rewriting".to_owned(),
                done_bytes,
                expected_bytes: 100,
            };
            let line = line("t-0", Some(&progress));
            assert_eq!(line.matches('#').count(), filled, "{line}");
            assert_eq!(line.matches('-').count(), WIDTH - filled + 1, "{line}");
        }
    }
}
