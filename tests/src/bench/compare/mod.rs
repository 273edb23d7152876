//! `darter-bench compare`: servers side by side on the same CPUs, in interleaved rounds. [`server`] starts and ends them, [`workload`] says
//! what is asked, [`rounds`] runs it, [`table`] shows it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use self::rounds::{Conditions, Row};
use self::server::Spec;
use self::workload::{Common, Workload};
use super::address::raise_descriptors;
use super::cpus::Cpus;
use super::interrupt;
use super::machine::Machine;
use super::page::Page;
use super::perform::clear_progress;
use super::tally::Tally;

pub mod rounds;
pub mod server;
pub mod table;
pub mod workload;

/// Starts servers and measures them beside each other.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Presets of --server: redis, valkey, memcached, floor, darter. Any other: NAME[:PROTOCOL]='COMMAND LINE' with {port}, and where it has
them {shards} and {cpus}. PROTOCOL is resp, memcached (text) or meta. The first server is what the others are compared with.

Workloads: get set get-p30 set-p30 get-c1-p100 incr-p30 mget10 mset10 mget24 get-4k set-4k get-64k set-64k get-1m set-1m open
idle

Examples:
  darter-bench compare                                                    redis, floor and darter; all workloads
  darter-bench compare --workloads get,set,get-p30 --rounds 9 --html x.html
  darter-bench compare --server redis --server darter --shards-of darter 1,2 --server-cpus 0-1 --client-cpus 2
  darter-bench compare --server memcached --server darter:memcached --workloads get,set,mget24
  darter-bench compare --server memcached:meta --server 'pogocache:meta=pogocache -p {port} --threads 1' --workloads get,set
  darter-bench compare --workloads '' --memory 1000000,4000000            memory only")]
pub struct CompareFlags {
    /// A server; may be given several times [default: redis, floor, darter]
    #[arg(long, value_name = "SERVER")]
    pub server: Vec<String>,
    /// Numbers of shards, or threads, of a server by its name, each as a server of its own: --shards-of darter 1,2
    #[arg(long, num_args = 2, value_names = ["NAME", "LIST"])]
    pub shards_of: Vec<String>,
    /// Darter's binary [default: the one beside this program]
    #[arg(long, value_name = "PATH")]
    pub darter: Option<PathBuf>,
    /// Names of workloads, separated by commas [default: all]
    #[arg(long, value_name = "LIST")]
    pub workloads: Option<String>,
    /// Measure memory as well, with each of these numbers of keys
    #[arg(long, value_name = "KEYS", value_delimiter = ',')]
    pub memory: Vec<u64>,
    /// Rounds of each workload on each server
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Seconds of a round
    #[arg(long, default_value_t = 1.0)]
    pub seconds: f64,
    /// Seconds of load before each round
    #[arg(long, default_value_t = 0.2)]
    pub warm_up: f64,
    /// Keys
    #[arg(long, default_value_t = 100_000)]
    pub keys: u64,
    /// Bytes of a value where the workload has no size of its own
    #[arg(long, default_value_t = 64)]
    pub value_size: usize,
    /// Connections of the workload idle
    #[arg(long, default_value_t = 10_000)]
    pub idle_connections: usize,
    /// CPUs of the servers; one with N shards gets the first N [default: all but the last]
    #[arg(long)]
    pub server_cpus: Option<Cpus>,
    /// CPUs of the generator [default: the last]
    #[arg(long)]
    pub client_cpus: Option<Cpus>,
    /// Threads of the generator
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Write all figures to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a page with plots to this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// All that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// `darter-bench`.
    pub tool: &'static str,
    /// Its version.
    pub version: &'static str,
    /// On what it ran.
    pub machine: Machine,
    /// In the order of all cells.
    pub servers: Vec<Spec>,
    /// Rounds of each workload.
    pub rounds: usize,
    /// Seconds of a round.
    pub seconds: f64,
    /// CPUs of the servers.
    pub server_cpus: Vec<usize>,
    /// CPUs of the generator.
    pub client_cpus: Vec<usize>,
    /// Workloads.
    pub rows: Vec<Row>,
    /// Memory per key.
    pub memory: Vec<Row>,
    /// What is not as it must be.
    pub complaint: Option<String>,
    /// Whether it was ended by hand.
    pub interrupted: bool,
}

/// Sizes of keys and values of which memory is measured, and for how many seconds they live.
const MEMORY: [((usize, usize), Option<u64>); 3] =
    [((16, 32), None), ((16, 32), Some(100_000)), ((24, 200), None)];
/// Descriptors of this process, and of a server, that are not idle connections.
const OTHERS: u64 = 300;

impl CompareFlags {
    fn specs(&self) -> Result<Vec<Spec>, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let beside = own.with_file_name("darter");
        let darter = self.darter.clone().unwrap_or(beside);
        let usual = ["redis", "floor", "darter"].map(String::from);
        let asked = if self.server.is_empty() { &usual[..] } else { &self.server };
        let mut specs: Vec<Spec> = Vec::new();
        let mut shards_of: Vec<(&str, Vec<usize>)> = Vec::new();
        for pair in self.shards_of.chunks(2) {
            let counts = pair[1].split(',').map(|count| match count.parse() {
                Ok(count) if count > 0 => Ok(count),
                _ => Err(format!("{count:?} is no number of shards")),
            });
            shards_of.push((&pair[0], counts.collect::<Result<_, _>>()?));
        }
        for text in asked {
            let spec = Spec::read(text, &own, &absolute(&darter))?;
            if spec.name == "darter" && spec.command.contains(&*darter.to_string_lossy()) && !darter.exists()
            {
                return Err(format!("{} is not there: build it, or say --darter PATH", darter.display()));
            }
            let counts = shards_of.iter().find(|(name, _)| *name == spec.name).map(|(_, counts)| &counts[..]);
            specs.extend(spec.with_shards(counts.unwrap_or(&[])));
        }
        for (at, spec) in specs.iter().enumerate() {
            if specs[..at].iter().any(|other| other.name == spec.name) {
                return Err(format!("{} is there twice: give it another name", spec.name));
            }
        }
        Ok(specs)
    }

    fn conditions(&self) -> Result<Conditions, String> {
        let allowed = Cpus::allowed().map_err(|error| error.to_string())?;
        let last = allowed.list().last().copied().unwrap_or(0);
        let client = self.client_cpus.clone().unwrap_or_else(|| Cpus::new(vec![last]));
        let others = allowed.without(&client);
        let rest = if others.list().is_empty() { allowed } else { others };
        let time = |seconds: f64| {
            Duration::try_from_secs_f64(seconds).map_err(|_| format!("{seconds} seconds are no time"))
        };
        if self.rounds == 0 || self.threads == 0 || self.keys == 0 {
            return Err("there must be a round, a thread and a key".into());
        }
        let may = raise_descriptors().map_err(|error| error.to_string())?;
        Ok(Conditions {
            specs: self.specs()?,
            cpus: self.server_cpus.clone().unwrap_or(rest),
            rounds: self.rounds,
            common: Common {
                keys: self.keys,
                value: self.value_size,
                time: time(self.seconds)?,
                warm_up: time(self.warm_up)?,
                threads: self.threads,
                cpus: client,
            },
            idle: self.idle_connections.min(may.saturating_sub(OTHERS) as usize),
        })
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

/// Compares. The error is what could not be done at all; whatever was started has ended.
pub fn compare(flags: &CompareFlags) -> Result<Comparison, String> {
    let workloads = Workload::named(flags.workloads.as_deref())?;
    let conditions = flags.conditions()?;
    let client = &conditions.common.cpus;
    let machine = Machine::this();
    client.stay().map_err(|error| format!("CPUs {client}: {error}"))?;
    let mut comparison = Comparison {
        tool: "darter-bench",
        version: env!("CARGO_PKG_VERSION"),
        machine,
        servers: conditions.specs.clone(),
        rounds: flags.rounds,
        seconds: flags.seconds,
        server_cpus: conditions.cpus.list().to_vec(),
        client_cpus: client.list().to_vec(),
        rows: Vec::new(),
        memory: Vec::new(),
        complaint: None,
        interrupted: false,
    };
    for workload in workloads {
        if interrupt::asked() {
            break;
        }
        note(workload.name);
        comparison.rows.push(conditions.measure(&workload)?);
    }
    for keys in &flags.memory {
        for (sizes, expiry) in MEMORY {
            if interrupt::asked() {
                break;
            }
            note(&format!("memory, {keys} keys"));
            comparison.memory.push(conditions.memory(*keys, sizes, expiry)?);
        }
    }
    clear_progress();
    // A row that was not measured to its end would be compared with less.
    comparison.interrupted = interrupt::asked();
    if comparison.interrupted {
        comparison.rows.pop_if(|row| row.cells.iter().any(|cell| cell.rounds.len() < flags.rounds));
        comparison.memory.pop_if(|row| row.cells.len() < conditions.specs.len());
    }
    let mut tally = Tally::default();
    let cells = comparison.rows.iter().flat_map(|row| &row.cells);
    cells.flat_map(|cell| &cell.rounds).for_each(|figures| tally.add(&figures.tally));
    comparison.complaint = tally.complaint(false);
    Ok(comparison)
}

/// On a terminal, what is measured now.
fn note(name: &str) {
    use std::io::{IsTerminal, Write};
    let mut terminal = std::io::stderr();
    if terminal.is_terminal() {
        let _ = writeln!(terminal, "\r\x1b[K{name}");
    }
}

impl Comparison {
    fn names(&self) -> Vec<String> {
        self.servers.iter().map(|spec| spec.name.clone()).collect()
    }

    fn head(&self) -> Vec<String> {
        let machine = &self.machine;
        let list = |cpus: &[usize]| Cpus::new(cpus.to_vec()).to_string();
        vec![
            format!("{}, {} CPUs, Linux {}", machine.processor, machine.cpus, machine.kernel),
            format!(
                "servers on CPUs {}, generator on {}; medians of {} rounds of {} s, interleaved",
                list(&self.server_cpus),
                list(&self.client_cpus),
                self.rounds,
                self.seconds
            ),
            format!(
                "in brackets the smallest and the largest of all rounds; 0.50x: half of {} in the same round",
                self.servers[0].name
            ),
        ]
    }

    /// What a reader must know to judge the figures.
    fn remarks(&self) -> Vec<String> {
        let busy = self.rows.iter().filter(|row| {
            row.cells.iter().flat_map(|cell| &cell.rounds).any(|figures| figures.generator_busy > 0.9)
        });
        let busy: Vec<&str> = busy.map(|row| row.name.as_str()).collect();
        let mut remarks = Vec::new();
        if !busy.is_empty() {
            remarks.push(format!(
                "The generator had no time left in {}: operations per second are its own there; server CPU per operation \
                 is that of a server with time to spare.",
                busy.join(", ")
            ));
        }
        if self.server_cpus.iter().any(|cpu| self.client_cpus.contains(cpu)) {
            remarks.push("Servers and generator share CPUs.".into());
        }
        if self.interrupted {
            remarks.push("It was ended by hand before its time.".into());
        }
        remarks
    }

    /// As text.
    pub fn text(&self) -> String {
        let tables = table::text(&self.names(), &self.rows, &self.memory);
        let mut remarks = self.remarks().join("\n");
        if !remarks.is_empty() {
            remarks.push('\n');
        }
        format!("{}\n{tables}\n{remarks}", self.head().join("\n"))
    }

    /// As a page with bars and curves.
    pub fn html(&self) -> String {
        let mut page = Page::new("darter-bench compare");
        self.head().iter().for_each(|line| page.text(line));
        for spec in &self.servers {
            page.text(&format!("{}: {}", spec.name, spec.command));
        }
        self.remarks().iter().chain(&self.complaint).for_each(|line| page.complaint(line));
        table::draw(&mut page, &self.names(), &self.rows, &self.memory);
        page.finish()
    }
}
