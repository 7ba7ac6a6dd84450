//! `lastword consume TOPIC...`: records to standard output.
//!
//! Reads partitions directly, without being a member of a group: two of these see the same records. With `-g` it begins where
//! that group has committed and commits what was printed, and reads all partitions: it shares them with nobody.
//!
//! Output is flushed after every answer of the broker, so that a pipe sees records when they come.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use clap::ArgAction;

use crate::client::groups::{self, Offsets};
use crate::client::reader::{ReadOptions, Reader};
use crate::client::{Client, ClientArgs, TopicInfo};
use crate::error::{CliError, Result};
use crate::format::{RecordFormat, RecordView};
use crate::offset::{self, End, Start};
use crate::output::{count, say};
use crate::time::now_ms;

/// How long the broker may wait for new records before it answers with none.
const MAX_WAIT: Duration = Duration::from_millis(500);
/// While records come; at the end once more.
const BETWEEN_COMMITS: Duration = Duration::from_secs(1);
const STATE_SUFFIX: &str = "@state";

const HELP: &str = "Offsets (-o):
  start beginning earliest    from the start (the default)
  end latest                  only what comes from now on
  stored                      where the group of -g has committed (the default with -g)
  42  42:50  42:+8  42:end    from offset 42; up to but without 50; 8 offsets; to what is now the end
  :end  +10  -10              all there is now; 10 after the start; 10 before the end
  @1700000000  @2026-11-23T14:00:00Z  @-1h  @-2h:-1h    by time; also s@TIME and e@TIME

Formats (-f): json jsonl raw hex table, or a string of
  %t %k %v %h{..} topic, key, value, each header (with %k %v inside)   {hex} {base64} {json}
  %T %K %V %H     their lengths, the number of headers                 {big32} {hex8} {little16} {byte}
  %p %o %e %d %i  partition, offset, leader epoch, timestamp, count    %d{strftime[%F %T]}
  %x %y %a{compression}  producer id and epoch, an attribute of the batch
  %[ %| %]        log start offset, last stable offset, high watermark
  %s %S           the same as %v %V (%T is a length here, not kcat's timestamp)
  \\n \\t \\x41 %%    a newline, a tab, a byte, a percent sign

Examples:
  lastword consume prices -e -f '%o %k=%v\\n'
  lastword consume prices -o -10 -n 10
  lastword consume prices --state -e                       # a snapshot
  lastword consume orders -g app -e -q                     # what is new since the last time
  lastword consume orders -p 0,2 -o @-1h -J | jq .value";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// Topics
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Where to start, and where to stop
    #[arg(short, long = "offset", value_name = "OFFSET", action = ArgAction::Append, allow_hyphen_values = true)]
    offset: Vec<String>,
    /// From the start: the default, for fingers that type it
    #[arg(long, conflicts_with = "offset")]
    from_beginning: bool,
    /// Go on where this group has committed, and commit what was printed; nobody else may be in the group
    #[arg(short, long, value_name = "GROUP")]
    group: Option<String>,
    /// Only the last word on every key: the same as TOPIC@state
    #[arg(long)]
    state: bool,
    /// Stop after this many records
    #[arg(
        short = 'n',
        long = "num",
        visible_alias = "max-messages",
        value_name = "COUNT"
    )]
    num: Option<u64>,
    /// Stop at what is the end now
    #[arg(short, long)]
    exit: bool,
    /// Only these partitions
    #[arg(
        short,
        long = "partitions",
        visible_alias = "partition",
        value_name = "LIST",
        value_delimiter = ','
    )]
    partitions: Vec<i32>,
    /// How to print a record
    #[arg(short, long, value_name = "FORMAT", conflicts_with = "jsonl")]
    format: Option<String>,
    /// JSON, one object a line
    #[arg(short = 'J', long, visible_alias = "json")]
    jsonl: bool,
    /// Print KEY, the separator and VALUE
    #[arg(long, conflicts_with_all = ["format", "jsonl"])]
    print_key: bool,
    /// What stands between key and value with --print-key
    #[arg(long, value_name = "TEXT", default_value = "\\t")]
    key_separator: String,
    /// Everything but key, value and headers
    #[arg(long)]
    meta_only: bool,
    /// Leave out records of open and aborted transactions
    #[arg(long)]
    read_committed: bool,
    /// Print commit and abort markers too
    #[arg(long)]
    print_control_records: bool,
    /// Say nothing but records and errors
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    client: ClientArgs,
}

impl Args {
    /// Whether errors are wanted as JSON too.
    pub fn json(&self) -> bool {
        self.jsonl || matches!(self.format.as_deref(), Some("json" | "jsonl"))
    }

    fn record_format(&self) -> Result<RecordFormat> {
        let is_terminal = io::stdout().is_terminal();
        let text = if self.jsonl {
            "jsonl".to_owned()
        } else if self.print_key {
            // The separator may have backslashes; a percent sign in it is only itself.
            format!("%k{}%v\\n", self.key_separator.replace('%', "%%"))
        } else {
            self.format.clone().unwrap_or_else(|| "json".to_owned())
        };
        RecordFormat::parse(&text, is_terminal).map_err(CliError::usage)
    }
}

pub fn run(args: &Args) -> Result<()> {
    let format = args.record_format()?;
    let mut range = offset::parse_all(args.offset.iter().map(String::as_str), now_ms())
        .map_err(CliError::usage)?;
    if args.exit && range.end == End::Never {
        range.end = End::Latest;
    }
    let has_start = args.from_beginning || !args.offset.is_empty();
    if args.group.is_some() && !has_start {
        range.start = Start::Stored;
    }
    if args.group.is_none() && range.start == Start::Stored {
        let error =
            CliError::usage("`stored` is where a group has committed, and no group is named");
        return Err(error.hint("-g GROUP"));
    }
    let mut client = Client::connect(&args.client)?;
    let stored = match &args.group {
        Some(group) => stored(&mut client, group)?,
        None => Offsets::new(),
    };
    let mut reader = Reader::new(ReadOptions {
        read_committed: args.read_committed,
        with_control_records: args.print_control_records,
    });
    let mut partition_count = 0;
    for name in &args.topics {
        let name = match args.state && !name.ends_with(STATE_SUFFIX) {
            true => format!("{name}{STATE_SUFFIX}"),
            false => name.clone(),
        };
        let topic = client.topic(&name, false)?;
        let partitions = chosen(&topic, &args.partitions)?;
        partition_count += partitions.len();
        reader.add_after(&mut client, &topic, &partitions, range, &stored)?;
    }
    let unbounded = !has_start && !args.exit && args.num.is_none();
    if unbounded && !args.quiet {
        let partitions = count(partition_count, "partition");
        let place = match &args.group {
            Some(group) => format!("where group {group} has committed in"),
            None => "the start of".to_owned(),
        };
        say(&format!(
            "from {place} {partitions}; Ctrl-C to stop, -e to stop at the end"
        ));
    }
    copy(args, &format, &mut client, &mut reader)
}

/// What a group has committed. A member of it would commit against us.
fn stored(client: &mut Client, group: &str) -> Result<Offsets> {
    if groups::list(client)?
        .iter()
        .any(|listed| listed.id == group)
    {
        let described = groups::describe(client, group)?;
        if !described.members.is_empty() {
            let members = count(described.members.len(), "member");
            let error = CliError::local("GROUP_IN_USE", format!("group {group} has {members}"));
            return Err(error.hint("stop them, or choose another group with -g GROUP"));
        }
    }
    groups::committed(client, group)
}

/// The partitions that are named, or all.
pub fn chosen(topic: &TopicInfo, wanted: &[i32]) -> Result<Vec<i32>> {
    let all: Vec<i32> = topic
        .partitions
        .iter()
        .map(|partition| partition.index)
        .collect();
    if wanted.is_empty() {
        return Ok(all);
    }
    match wanted.iter().find(|index| !all.contains(index)) {
        Some(missing) => Err(
            CliError::usage(format!("{} has no partition {missing}", topic.name))
                .hint(format!("0 to {}", all.len().saturating_sub(1))),
        ),
        None => Ok(wanted.to_vec()),
    }
}

fn copy(
    args: &Args,
    format: &RecordFormat,
    client: &mut Client,
    reader: &mut Reader,
) -> Result<()> {
    let mut out = io::stdout().lock();
    let mut left = args.num.unwrap_or(u64::MAX);
    let mut buffer = Vec::new();
    let mut committed = Offsets::new();
    let mut committed_at = Instant::now();
    while left > 0 && !reader.is_done() {
        let mut sink = |record: &RecordView<'_>| {
            format.write(record, args.meta_only, &mut buffer);
            left -= 1;
            if buffer.len() >= 1 << 16 {
                out.write_all(&buffer)?;
                buffer.clear();
            }
            Ok(left > 0)
        };
        let result = reader.poll(client, MAX_WAIT, &mut sink);
        out.write_all(&buffer)?;
        out.flush()?;
        buffer.clear();
        let goes_on = result?;
        if let Some(group) = &args.group {
            let is_last = !goes_on || left == 0 || reader.is_done();
            let next = reader.next_offsets();
            if next != committed && (is_last || committed_at.elapsed() >= BETWEEN_COMMITS) {
                groups::commit(client, group, &next)?;
                (committed, committed_at) = (next, Instant::now());
            }
        }
        if !goes_on {
            break;
        }
    }
    Ok(())
}
