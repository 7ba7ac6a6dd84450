//! `lastword serve`: the broker in this process, until SIGTERM or SIGINT.
//!
//! No format step, no identifier to make up, no configuration: data goes to `./lastword-data`, the address is loopback.
//! A flag wins over `--set`, that over the environment, that over the file (`settings`). HTTP listens first, so that a probe is answered while the directory
//! is loaded; that somebody else has its default port is said, and is no error. Once clients can connect, one block says where; it goes to
//! standard output, so that a script can wait for `ready`. The log goes to standard error.
//!
//! `--ephemeral` is for tests: data in a directory of its own that goes with the process, ports that are free, and before
//! the block a line `BROKERS=HOST:PORT` and a line `HTTP=HOST:PORT`. Everything else is as ever, syncs included.
//! A service manager hears of readiness (`notify`).
//!
//! SIGTERM or SIGINT stops in order and ends with 0; the second one ends at once. SIGHUP reads the settings again.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use lastword_broker::config::nearest_name;
use lastword_broker::{Broker, BrokerConfig, Server, ServerError};
use lastword_http::{Http, StartError};
use tokio::signal::unix::{SignalKind, signal};

use crate::error::{CliError, Result};
use crate::notify::Notify;
use crate::output::{self, count, say};
use crate::process;
use crate::scratch::Scratch;
use crate::settings::{Settings, Sources};

const DEFAULT_DATA: &str = "./lastword-data";
const DEFAULT_LISTEN: &str = "127.0.0.1:9092";

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  lastword serve\n  lastword serve --data /var/lib/lastword --listen 127.0.0.1:19092\n  \
    lastword serve --ephemeral\n  \
    lastword serve server.properties --set log.cleaner.threads=2 --set log.segment.bytes=64MiB"
)]
pub struct Args {
    /// A server.properties file, with Kafka's names [default: ./server.properties, then
    /// /etc/lastword/server.properties, if there is one]
    #[arg(value_name = "FILE", conflicts_with = "config")]
    file: Option<String>,
    /// The same as FILE
    #[arg(short, long, value_name = "FILE")]
    config: Option<String>,
    /// Where the data is [default: ./lastword-data]
    #[arg(long, alias = "data-dir", value_name = "DIR")]
    data: Option<String>,
    /// Where to listen [default: 127.0.0.1:9092]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Where to listen for HTTP: health, metrics, /v1; `off` for nowhere [default: 127.0.0.1:9644]
    #[arg(long, value_name = "HOST:PORT")]
    http: Option<String>,
    /// A setting; sizes and times may have units (64MiB, 7d)
    #[arg(long, visible_alias = "override", value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// An unknown setting is an error, and not a warning
    #[arg(long)]
    strict: bool,
    /// For tests: data that goes with the process, free ports, and a line BROKERS=HOST:PORT when it is ready
    #[arg(long, conflicts_with = "data")]
    ephemeral: bool,
    /// What is logged, as in info or warn,lastword_storage=debug [default: info; warn on a terminal]
    #[arg(long, env = "LASTWORD_LOG", value_name = "FILTER")]
    log_level: Option<String>,
}

pub fn run(args: &Args) -> Result<()> {
    let scratch = args.ephemeral.then(|| Scratch::new("lastword-ephemeral"));
    let scratch = scratch.transpose().map_err(|error| {
        CliError::local("DATA", "cannot make a temporary directory").why(error.to_string())
    })?;
    let sources = sources(args, scratch.as_ref())?;
    let settings = sources.read()?;
    settings.check_readable()?;
    process::start_log(args.log_level.as_deref(), "info", "warn")?;
    process::raise_file_limit();
    let config = BrokerConfig::from_properties(&properties_of(&settings));
    let mut config = config.map_err(|error| {
        let why = if error.value.is_empty() {
            format!("{} {}", error.name, error.reason)
        } else {
            error.to_string()
        };
        let origin = settings.by_name.get(&error.name);
        let origin = origin.map_or_else(String::new, |it| format!("{}: ", it.origin));
        CliError::local("INVALID_CONFIG", "these settings are not accepted")
            .why(format!("{origin}{why}"))
            .hint("lastword config check names all that is wrong")
    })?;
    config.cluster_id = settings.cluster_id.clone();
    say_names(&config, &settings, args.strict)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            CliError::local("RUNTIME", "cannot start threads").why(error.to_string())
        })?;
    runtime.block_on(serve(config, sources, scratch))
}

async fn serve(config: BrokerConfig, sources: Sources, scratch: Option<Scratch>) -> Result<()> {
    let start = Instant::now();
    let notify = Notify::from_env();
    let data = config.log_dir.clone();
    let is_new = !Path::new(&data).join("meta.properties").exists();
    let stop = stop_signals(scratch.as_ref().map(|it| it.path().to_owned()))?;
    notify.status(&format!("loading {data}"));
    let http = start_http(&config).await?;
    let server = Server::start(config)
        .await
        .map_err(|error| explain(&error, &data))?;
    reload_on_hangup(server.broker(), sources)?;
    let http_line = http_line(&http);
    if let Ok(http) = &http {
        http.iter().for_each(|http| http.serve(server.broker()));
    }
    let ready_s = start.elapsed().as_secs_f64();
    if scratch.is_some() {
        output::text(&machine_lines(&server, &http))?;
    }
    output::text(&ready_block(&server, &http_line, &data, is_new, ready_s))?;
    let partitions = count(server.broker().logs.logs().len(), "partition");
    notify.ready(&format!("serving {partitions} on {}", server.local_addr()));
    let watchdog = tokio::spawn(notify.clone().keep_alive());
    stop.await;
    notify.stopping();
    watchdog.abort();
    let stopping = Instant::now();
    let stopped = server.stop().await;
    if let Ok(Some(http)) = http {
        http.stop().await;
    }
    stopped.map_err(|error| explain(&error, &data))?;
    // After the broker has let go of it.
    drop(scratch);
    // Who started us may have closed the pipe by now; we have stopped cleanly all the same.
    let _ = output::text(&format!(
        "  stopped in {:.2} s\n",
        stopping.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// For whoever started an ephemeral broker: they come when it is ready.
fn machine_lines(server: &Server, http: &Result<Option<Http>, StartError>) -> String {
    let broker = server.broker();
    let brokers = format!(
        "BROKERS={}:{}\n",
        &*broker.endpoint.host, broker.endpoint.port
    );
    match http {
        Ok(Some(http)) => format!("{brokers}HTTP={}\n", http.local_addr()),
        _ => brokers,
    }
}

/// Listens for HTTP. The inner error is a default port that somebody else has: the broker does without.
async fn start_http(config: &BrokerConfig) -> Result<Result<Option<Http>, StartError>> {
    match Http::start(&config.http).await {
        Err(error) if error.is_named || error.source.kind() != io::ErrorKind::AddrInUse => {
            Err(explain_listen(&error.address, &error.source, "--http"))
        }
        started => Ok(started),
    }
}

fn http_line(http: &Result<Option<Http>, StartError>) -> String {
    match http {
        Ok(Some(http)) => format!(
            "http://{}      metrics /metrics   page /",
            http.local_addr()
        ),
        Ok(None) => "off".to_owned(),
        Err(error) => {
            let address = &error.address;
            format!("off: another process has {address}; choose a port with --http HOST:PORT")
        }
    }
}

fn ready_block(server: &Server, http: &str, data: &str, is_new: bool, ready_s: f64) -> String {
    let broker = server.broker();
    let state = if is_new {
        "new".to_owned()
    } else {
        count(broker.logs.logs().len(), "partition")
    };
    let advertised = format!("{}:{}", &*broker.endpoint.host, broker.endpoint.port);
    let brokers = if advertised == "localhost:9092" || advertised == DEFAULT_LISTEN {
        String::new()
    } else {
        format!(" -b {advertised}")
    };
    format!(
        "lastword {}  data {data} ({state})  cluster {}\n  kafka   {}      advertised as {advertised}\n  \
         http    {http}\n  ready in {ready_s:.3} s.  Try:  lastword topic create prices --compact{brokers}\n",
        env!("CARGO_PKG_VERSION"),
        &*broker.cluster_id,
        server.local_addr(),
    )
}

/// Where the settings are; the flags are the strongest.
fn sources(args: &Args, scratch: Option<&Scratch>) -> Result<Sources> {
    const FLAG: &str = "--ephemeral";
    let mut flags = Vec::new();
    if let Some(scratch) = scratch {
        let data = scratch.path().to_string_lossy().into_owned();
        flags.push(("log.dirs", data, FLAG));
        // An address that was asked for comes after these.
        flags.push(("listeners", "PLAINTEXT://127.0.0.1:0".to_owned(), FLAG));
        flags.push(("lastword.http.listen", "127.0.0.1:0".to_owned(), FLAG));
    }
    if let Some(data) = &args.data {
        flags.push(("log.dirs", data.clone(), "--data"));
    }
    if let Some(address) = &args.listen {
        if address
            .rsplit_once(':')
            .is_none_or(|(_, port)| port.parse::<u16>().is_err())
        {
            return Err(
                CliError::usage(format!("`{address}` is no address to listen on"))
                    .hint("--listen HOST:PORT, as in --listen 127.0.0.1:9092"),
            );
        }
        flags.push(("listeners", format!("PLAINTEXT://{address}"), "--listen"));
    }
    if let Some(address) = &args.http {
        flags.push(("lastword.http.listen", address.clone(), "--http"));
    }
    Ok(Sources {
        file: args.file.clone().or_else(|| args.config.clone()),
        set: args.set.clone(),
        flags,
    })
}

/// One line for all that means nothing here, and one for each name that nobody knows.
fn say_names(config: &BrokerConfig, settings: &Settings, is_strict: bool) -> Result<()> {
    let ignored = &config.ignored;
    if !ignored.is_empty() {
        let settings = count(ignored.len(), "setting");
        let names = ignored.join(", ");
        say(&format!(
            "ignored {settings} of Kafka's without meaning on one broker: {names}"
        ));
    }
    let mut unknown = Vec::new();
    for name in &config.unknown {
        let origin = settings.by_name.get(name);
        let origin = origin.map_or_else(String::new, |it| format!("{}: ", it.origin));
        let nearest = match nearest_name(name) {
            Some(nearest) => format!("; did you mean {nearest}?"),
            None => String::new(),
        };
        unknown.push(format!("{origin}unknown setting {name}{nearest}"));
    }
    if is_strict && !unknown.is_empty() {
        return Err(
            CliError::local("INVALID_CONFIG", "these settings are not accepted")
                .why(unknown.join("; "))
                .hint("lastword config explain NAME, or leave --strict out"),
        );
    }
    for line in unknown {
        say(&format!("warning: {line}"));
    }
    Ok(())
}

/// Reads the settings again with every SIGHUP, and says what came of it.
fn reload_on_hangup(broker: &Arc<Broker>, sources: Sources) -> Result<()> {
    let mut hangup = signal(SignalKind::hangup()).map_err(|error| {
        CliError::local("SIGNALS", "cannot listen for signals").why(error.to_string())
    })?;
    let broker = Arc::downgrade(broker);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let Some(broker) = broker.upgrade() else {
                return;
            };
            let sources = sources.clone();
            let reload = move || reload(&broker, &sources);
            let said = tokio::task::spawn_blocking(reload).await;
            say(&said.unwrap_or_else(|error| format!("not reloaded: {error}")));
        }
    });
    Ok(())
}

fn reload(broker: &Broker, sources: &Sources) -> String {
    let read = sources.read().and_then(|settings| {
        settings.check_readable()?;
        Ok(settings)
    });
    let settings = match read {
        Ok(settings) => settings,
        Err(error) => return format!("not reloaded: {error}"),
    };
    let file = settings.file.as_deref().unwrap_or("the settings");
    match lastword_broker::configs::reload::reload(broker, &properties_of(&settings)) {
        Err(error) => format!("not reloaded: {file}: {}", error.message),
        Ok(reloaded) if reloaded == Default::default() => format!("reloaded {file}: no change"),
        Ok(reloaded) => {
            let mut said = format!("reloaded {file}");
            for (what, names) in [
                ("in force now", reloaded.applied),
                ("needs a restart", reloaded.needs_restart),
            ] {
                if !names.is_empty() {
                    said.push_str(&format!("; {what}: {}", names.join(", ")));
                }
            }
            said
        }
    }
}

fn properties_of(settings: &Settings) -> BTreeMap<String, String> {
    let mut properties = settings.properties();
    if !properties.contains_key("log.dirs") && !properties.contains_key("log.dir") {
        properties.insert("log.dirs".to_owned(), DEFAULT_DATA.to_owned());
    }
    properties
}

/// The failures that everyone meets get their next step.
fn explain(error: &ServerError, data: &str) -> CliError {
    match error {
        ServerError::Listen { address, source } => explain_listen(address, source, "--listen"),
        error if process::is_locked(error) => {
            CliError::local("LOCKED", format!("cannot use the data in {data}"))
                .why("another process serves this directory")
                .hint("stop it, or choose another directory with --data DIR")
        }
        ServerError::DataDirectory { path, source } => {
            CliError::local("DATA", format!("cannot use the data directory {path}"))
                .why(source.to_string())
                .hint("choose one that can be written with --data DIR")
        }
        ServerError::HalfCopied { reason, .. } => CliError::local(
            "HALF_COPIED",
            format!("{data} is no whole copy of a Kafka log directory"),
        )
        .why(reason.clone())
        .hint(
            "copy it again while Kafka is stopped, hidden files too (cp -a); nothing was changed",
        ),
        other => CliError::local("START", "the broker cannot go on").why(other.to_string()),
    }
}

fn explain_listen(address: &str, source: &io::Error, flag: &str) -> CliError {
    let error = CliError::local("LISTEN", format!("cannot listen on {address}"));
    match source.kind() {
        io::ErrorKind::AddrInUse => error.why("another process has this port").hint(format!(
            "stop it, or choose another port with {flag} 127.0.0.1:PORT (0 takes any)"
        )),
        io::ErrorKind::PermissionDenied => error.why(source.to_string()).hint(format!(
            "ports below 1024 are for root: choose a higher one with {flag}"
        )),
        _ => error.why(source.to_string()).hint(format!(
            "{flag} must name an address of this machine, as in {flag} 127.0.0.1:PORT"
        )),
    }
}

/// Ready at the first SIGTERM or SIGINT. From then on a second one ends the process at once.
fn stop_signals(scratch: Option<PathBuf>) -> Result<impl Future<Output = ()>> {
    let listen = |kind| {
        signal(kind).map_err(|error| {
            CliError::local("SIGNALS", "cannot listen for signals").why(error.to_string())
        })
    };
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    Ok(async move {
        let first = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = first, "stopping");
        tokio::spawn(async move {
            let code = tokio::select! {
                _ = terminate.recv() => 143,
                _ = interrupt.recv() => 130,
            };
            match scratch {
                Some(path) => drop(std::fs::remove_dir_all(path)),
                None => say("stopped at once: the next start will check the logs"),
            }
            std::process::exit(code);
        });
    })
}
