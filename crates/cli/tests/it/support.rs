//! A broker in a temporary directory, and a way to run the binary against it.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(60);

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    /// Standard output of a command that must succeed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "out: {}\nerr: {}", self.out, self.err);
        self.out
    }

    /// Standard error of a command that must end with this code.
    #[track_caller]
    pub fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "out: {}\nerr: {}", self.out, self.err);
        self.err
    }
}

/// Runs the binary to its end.
pub fn lastword(brokers: &str, args: &[&str], input: &[u8]) -> Run {
    let mut child = command(args)
        .env("LASTWORD_BROKERS", brokers)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run lastword");
    let mut stdin = child.stdin.take().expect("stdin");
    let input = input.to_vec();
    // A command that reads no input closes it early; that is its right.
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("wait");
    writer.join().expect("writer");
    Run {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

/// The binary with these arguments, away from the settings of who runs the tests.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lastword"));
    command
        .args(args)
        .env_remove("LASTWORD_LOG")
        .env_remove("RUST_LOG")
        .env("NO_COLOR", "1");
    command
}

/// A running broker; killed when dropped.
pub struct Broker {
    child: Child,
    lines: Receiver<String>,
    /// The lines up to `ready`.
    pub ready_block: Vec<String>,
    pub address: String,
    log: Arc<Mutex<String>>,
}

impl Broker {
    pub fn start(data: &Path) -> Broker {
        Broker::start_with(data, &[])
    }

    pub fn start_with(data: &Path, more: &[&str]) -> Broker {
        Broker::start_in(data, more, &[])
    }

    /// With these variables in its environment.
    pub fn start_in(data: &Path, more: &[&str], variables: &[(&str, &str)]) -> Broker {
        let data = data.to_str().expect("path");
        let mut args = vec!["serve", "--data", data, "--listen", "127.0.0.1:0"];
        // Brokers of other tests must not meet on the default port.
        match more {
            ["--http-default"] => {}
            _ if more.contains(&"--http") => args.extend(more),
            _ => args.extend(more.iter().chain(&["--http", "off"])),
        }
        let mut serve = command(&args);
        serve.envs(variables.iter().copied());
        Broker::spawned(serve)
    }

    /// Of a command that becomes `lastword serve`.
    pub fn spawned(mut serve: Command) -> Broker {
        let mut child = serve
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("serve");
        let (sender, lines) = channel();
        let stdout = child.stdout.take().expect("stdout");
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut ready_block = Vec::new();
        while !ready_block
            .last()
            .is_some_and(|line: &String| line.contains("ready in"))
        {
            match lines.recv_timeout(DEADLINE) {
                Ok(line) => ready_block.push(line),
                Err(_) => {
                    let _ = child.kill();
                    let mut log = String::new();
                    let _ = child
                        .stderr
                        .take()
                        .map(|mut err| err.read_to_string(&mut log));
                    panic!("the broker did not become ready: {ready_block:?}\n{log}");
                }
            }
        }
        // The log must be read, or a full pipe would stop the broker.
        let stderr = child.stderr.take().expect("stderr");
        let log = Arc::new(Mutex::new(String::new()));
        let written = log.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = written.lock().unwrap_or_else(PoisonError::into_inner);
                log.push_str(&line);
                log.push('\n');
            }
        });
        let address = ready_block
            .iter()
            .find_map(|line| {
                line.split_whitespace()
                    .find(|word| word.starts_with("127.0.0.1:"))
            })
            .expect("an address")
            .to_owned();
        Broker {
            child,
            lines,
            ready_block,
            address,
            log,
        }
    }

    /// What the broker has logged so far.
    pub fn log(&self) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.clone()
    }

    /// Waits until it has logged this, and gives all it has.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) -> String {
        let until = Instant::now() + DEADLINE;
        while !self.log().contains(text) {
            assert!(Instant::now() < until, "{text}: {}", self.log());
            std::thread::yield_now();
        }
        self.log()
    }

    /// The address after `http://` in the block.
    pub fn http(&self) -> String {
        let mut words = self
            .ready_block
            .iter()
            .flat_map(|line| line.split_whitespace());
        let address = words.find_map(|word| word.strip_prefix("http://"));
        address.expect("an http address").to_owned()
    }

    pub fn run(&self, args: &[&str]) -> Run {
        self.run_with(args, "")
    }

    pub fn run_with(&self, args: &[&str], input: &str) -> Run {
        lastword(&self.address, args, input.as_bytes())
    }

    pub fn run_with_bytes(&self, args: &[&str], input: &[u8]) -> Run {
        lastword(&self.address, args, input)
    }

    /// Sends it a signal, as in `-HUP`.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.expect("kill").success());
    }

    /// SIGTERM; the exit code, and what it said after `ready`.
    pub fn terminate(mut self) -> (Option<i32>, Vec<String>) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .expect("kill");
        assert!(sent.success());
        let deadline = Instant::now() + DEADLINE;
        let mut said = Vec::new();
        // The pipe closes when the process ends.
        while let Ok(line) = self
            .lines
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            said.push(line);
        }
        assert!(Instant::now() < deadline, "the broker did not stop");
        (self.child.wait().expect("wait").code(), said)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn temporary() -> TempDir {
    tempfile::tempdir().expect("temporary directory")
}
