//! What Linux knows of this process, under the names that every Prometheus client uses. What cannot be read is absent.
//! No lock.

use super::family::*;
use super::scrape::Scrape;

/// Linux counts in these towards user space, on every machine we run on.
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) fn process(scrape: &mut Scrape) {
    if let Some(stat) = read("stat").as_deref().and_then(Stat::parse) {
        scrape.add(PROCESS_CPU, &[], stat.cpu_ticks / TICKS_PER_SECOND);
        let booted_s = std::fs::read_to_string("/proc/stat").ok();
        if let Some(booted_s) = booted_s.as_deref().and_then(boot_time) {
            scrape.add(
                PROCESS_START,
                &[],
                booted_s + stat.start_ticks / TICKS_PER_SECOND,
            );
        }
        scrape.add(PROCESS_THREADS, &[], stat.threads);
    }
    let status = read("status").unwrap_or_default();
    for (family, name) in [(PROCESS_VIRTUAL, "VmSize:"), (PROCESS_RESIDENT, "VmRSS:")] {
        if let Some(kib) = field(&status, name) {
            scrape.add(family, &[], kib * 1024.0);
        }
    }
    if let Some(open) = open_files() {
        scrape.add(PROCESS_OPEN_FILES, &[], open);
    }
    let limits = read("limits").unwrap_or_default();
    if let Some(most) = most_files(&limits) {
        scrape.add(PROCESS_MOST_FILES, &[], most);
    }
}

fn read(name: &str) -> Option<String> {
    std::fs::read_to_string(format!("/proc/self/{name}")).ok()
}

/// Of `/proc/self/stat`, see proc(5).
struct Stat {
    cpu_ticks: f64,
    threads: f64,
    /// After the machine's start.
    start_ticks: f64,
}

impl Stat {
    fn parse(text: &str) -> Option<Stat> {
        // The name of the process may hold anything, and ends with the last bracket. Behind it comes field 3.
        let (_, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
        Some(Stat {
            cpu_ticks: number(14)? + number(15)?,
            threads: number(20)?,
            start_ticks: number(22)?,
        })
    }
}

/// When the machine started, in seconds of Unix time.
fn boot_time(stat: &str) -> Option<f64> {
    field(stat, "btime")
}

/// The number behind the name that begins a line.
fn field(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Since Linux 6.2 the directory's size is their number; before, they are counted.
fn open_files() -> Option<f64> {
    let path = "/proc/self/fd";
    let stated = std::fs::metadata(path).ok()?.len();
    match stated {
        0 => Some(std::fs::read_dir(path).ok()?.count() as f64),
        stated => Some(stated as f64),
    }
}

fn most_files(limits: &str) -> Option<f64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(f64::INFINITY),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_be_called_anything() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 5 0 0 0 250 50 0 0 20 0 9 0 1234 1000 100 1844";
        let stat = Stat::parse(stat).expect("fields");
        assert_eq!(
            (stat.cpu_ticks, stat.threads, stat.start_ticks),
            (300.0, 9.0, 1234.0)
        );
        assert!(Stat::parse("7 (a) S 1").is_none());
    }

    #[test]
    fn limits_are_numbers_or_none_at_all() {
        let line =
            |most: &str| format!("Limit  Soft\nMax open files            {most}   4096   files\n");
        assert_eq!(most_files(&line("1024")), Some(1024.0));
        assert_eq!(most_files(&line("unlimited")), Some(f64::INFINITY));
        assert_eq!(most_files(""), None);
    }
}
