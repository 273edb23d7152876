//! The command line of `darter-bench run`, and the plan that follows from it. It starts nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::address::Address;
use super::check::Rules;
use super::command::{Command, Mix, Wording};
use super::cpus::Cpus;
use super::draw::Distribution;
use super::pace::Arrivals;
use super::plan::{Extent, Load, Plan};
use super::protocol::Protocol;
use super::template::KeyNames;
use super::value::{Sizes, Values};

/// Loads one server and measures it.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Placeholders of --command: __key__, __value__, __value:SIZE__, __int__ (below a million), __int:N__ (below N), several per command.
Operations of --mix: get, set, incr, del, ping, mgetN; with RESP also msetN, exists, lpush, rpop.

Examples:
  darter-bench run --fill --mix get:9,set:1                         closed loop, 50 connections
  darter-bench run --fill --mix get --pipeline 30 --seconds 5       30 requests written at once
  darter-bench run --fill --mix get --rate 50000 --html open.html   open loop: latency from when each request was due
  darter-bench run --fill --mix get --sweep auto --html curve.html  latency over throughput
  darter-bench run --command 'HSET user:__key__ name __value__' --command 'HGET user:__key__ name' --weight 1 --weight 9
  darter-bench run --protocol meta --port 11211 --fill --value-size 16-1k --distribution zipf:0.9")]
pub struct RunFlags {
    /// Host of the server
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// Port of the server
    #[arg(long, short, default_value_t = 6379)]
    pub port: u16,
    /// Unix socket of the server, instead of host and port
    #[arg(long, value_name = "PATH")]
    pub unix: Option<PathBuf>,
    /// Language of the server
    #[arg(long, default_value = "resp")]
    pub protocol: Protocol,
    /// Connections, of all threads together
    #[arg(long, short, default_value_t = 50)]
    pub connections: usize,
    /// Closed loop: requests written at once; open loop: the most in flight on a connection
    #[arg(long, short = 'P', default_value_t = 1)]
    pub pipeline: usize,
    /// Threads of the generator
    #[arg(long, short, default_value_t = 1)]
    pub threads: usize,
    /// Size of the key space
    #[arg(long, short, default_value_t = 100_000)]
    pub keys: u64,
    /// What names of keys begin with
    #[arg(long, default_value = "key:")]
    pub key_prefix: String,
    /// Bytes of a key's name
    #[arg(long, default_value_t = 16)]
    pub key_size: usize,
    /// uniform, zipf, zipf:THETA or sequential
    #[arg(long, short, default_value = "uniform")]
    pub distribution: Distribution,
    /// Bytes of a value: 64, 4k, 1m or a range such as 16-1k
    #[arg(long, short, default_value = "64")]
    pub value_size: Sizes,
    /// Operations and their weights [default: get:9,set:1]
    #[arg(long, short, value_name = "LIST", conflicts_with = "command")]
    pub mix: Option<String>,
    /// A command with placeholders; may be given several times
    #[arg(long, value_name = "TEMPLATE")]
    pub command: Vec<String>,
    /// The weight of each --command, in their order
    #[arg(long, value_name = "N", requires = "command")]
    pub weight: Vec<u64>,
    /// Seconds that keys live which `set` and --fill write
    #[arg(long, value_name = "SECONDS")]
    pub expiry: Option<u64>,
    /// How long it is measured [default: 10]
    #[arg(long, short, conflicts_with = "requests")]
    pub seconds: Option<f64>,
    /// How many requests are measured, instead of a time
    #[arg(long, short = 'n')]
    pub requests: Option<u64>,
    /// Seconds of load before anything is measured [default: 1; with --requests 0]
    #[arg(long, value_name = "SECONDS")]
    pub warm_up: Option<f64>,
    /// Write every key once before
    #[arg(long)]
    pub fill: bool,
    /// Open loop: requests a second
    #[arg(long, short)]
    pub rate: Option<f64>,
    /// How requests of an open loop are apart
    #[arg(long, default_value = "constant")]
    pub arrivals: Arrivals,
    /// Open loops one after the other: rates, or auto for shares of what a closed loop reaches
    #[arg(long, value_name = "RATES", conflicts_with = "rate")]
    pub sweep: Option<String>,
    /// Connections that are opened besides and say nothing
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub idle_connections: usize,
    /// The server's process [default: the one that listens at the address]
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
    /// CPUs of the generator, such as 1 or 2-3
    #[arg(long)]
    pub cpus: Option<Cpus>,
    /// Never sleep while waiting for replies
    #[arg(long)]
    pub spin: bool,
    /// Of all that is drawn
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Error replies do not make it fail
    #[arg(long)]
    pub allow_errors: bool,
    /// A key without a value is a wrong reply
    #[arg(long)]
    pub no_misses: bool,
    /// Values may be anything: for keys that others write
    #[arg(long)]
    pub any_value: bool,
    /// Write all figures to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a page with plots to this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Shares of the closed loop's throughput in a sweep.
const SHARES: [f64; 11] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0];

/// Which rates a sweep takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Sweep {
    /// Shares of what a closed loop reaches.
    Shares(Vec<f64>),
    /// These.
    Rates(Vec<f64>),
}

/// What a command line asks for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The measurement.
    pub plan: Plan,
    /// The command that fills, if it is wanted.
    pub fill: Option<Command>,
    /// The sweep, if it is wanted.
    pub sweep: Option<Sweep>,
}

impl RunFlags {
    /// What is asked for.
    pub fn asked(&self) -> Result<Asked, String> {
        let names = KeyNames::new(&self.key_prefix, self.key_size, self.keys)?;
        let wording =
            Wording { protocol: self.protocol, names: &names, sizes: self.value_size, expiry: self.expiry };
        let mix = Mix::new(self.commands(&wording)?)?;
        let fill = if self.fill { Some(wording.fill()?) } else { None };
        let value_max = mix.value_max().max(self.value_size.max);
        let rules = Rules {
            protocol: self.protocol,
            names: names.clone(),
            values: Values::new(value_max),
            value_min: mix.value_min().map_or(self.value_size.min, |min| min.min(self.value_size.min)),
            compare_values: !self.any_value,
            misses_are_wrong: self.no_misses,
        };
        let time = |seconds: f64, name: &str| {
            Duration::try_from_secs_f64(seconds).map_err(|_| format!("--{name} {seconds} is no time"))
        };
        let extent = match self.requests {
            Some(requests) => Extent::Requests(requests),
            None => Extent::Time(time(self.seconds.unwrap_or(10.0), "seconds")?),
        };
        let warm_up = self.warm_up.unwrap_or(if self.requests.is_some() { 0.0 } else { 1.0 });
        let plan = Plan {
            address: match &self.unix {
                Some(path) => Address::Unix(path.clone()),
                None => Address::resolve(&self.host, self.port)?,
            },
            rules: Arc::new(rules),
            mix,
            keys: self.keys,
            distribution: self.distribution,
            connections: self.connections,
            pipeline: self.pipeline,
            threads: self.threads,
            load: match self.rate {
                Some(rate) => Load::Open { rate, arrivals: self.arrivals },
                None => Load::Closed,
            },
            extent,
            warm_up: time(warm_up, "warm-up")?,
            seed: self.seed,
            cpus: self.cpus.clone(),
            spin: self.spin,
        };
        plan.check()?;
        let sweep = self.sweep.as_deref().map(read_sweep).transpose()?;
        Ok(Asked { plan, fill, sweep })
    }

    fn commands(&self, wording: &Wording) -> Result<Vec<Command>, String> {
        if self.command.is_empty() {
            return wording.mix(self.mix.as_deref().unwrap_or("get:9,set:1"));
        }
        if !self.weight.is_empty() && self.weight.len() != self.command.len() {
            return Err("--weight is given for each --command or for none".into());
        }
        let weights = self.weight.iter().copied().chain(std::iter::repeat(1));
        self.command.iter().zip(weights).map(|(text, weight)| wording.command(text, weight)).collect()
    }
}

fn read_sweep(text: &str) -> Result<Sweep, String> {
    if text == "auto" {
        return Ok(Sweep::Shares(SHARES.to_vec()));
    }
    let rates = text.split(',').map(|rate| match rate.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate < 1e9 => Ok(rate),
        _ => Err(format!("{rate:?} is no rate: --sweep auto or --sweep 10000,20000")),
    });
    Ok(Sweep::Rates(rates.collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        flags: RunFlags,
    }

    fn asked(line: &str) -> Result<Asked, String> {
        let words = std::iter::once("run").chain(line.split(' ').filter(|word| !word.is_empty()));
        let flags = Line::try_parse_from(words).map_err(|error| error.to_string())?.flags;
        flags.asked()
    }

    #[test]
    fn flags_become_a_plan() {
        let plain = asked("").expect("defaults");
        assert_eq!(plain.plan.address, Address::local(6379));
        assert_eq!(plain.plan.mix.text(), "9 x GET __key__, 1 x SET __key__ __value__");
        assert_eq!((plain.plan.load, plain.plan.warm_up), (Load::Closed, Duration::from_secs(1)));
        assert!(plain.fill.is_none() && plain.sweep.is_none());
        let line = "--unix /tmp/s -c 100 -P 30 -t 2 --mix set -v 1-1m --expiry 9 --fill -n 1000 --rate 5e4 --cpus 0-1";
        let full = asked(line).expect("a plan");
        assert_eq!(full.plan.extent, Extent::Requests(1_000));
        assert_eq!(full.plan.warm_up, Duration::ZERO);
        assert_eq!(full.plan.load, Load::Open { rate: 5e4, arrivals: Arrivals::Constant });
        assert_eq!(full.fill.expect("asked for").text, "SET __key__ __value__ EX 9");
        assert_eq!((full.plan.rules.value_min, full.plan.rules.values.len_max()), (1, 1_048_576));
        let sweep = asked("--sweep 1000,2e3").expect("a plan").sweep;
        assert_eq!(sweep, Some(Sweep::Rates(vec![1_000.0, 2_000.0])));
    }

    #[test]
    fn a_fill_writes_every_key_once() {
        let asked = asked("--fill --keys 1000 -v 100k --distribution zipf -t 4").expect("a plan");
        let fill = asked.plan.filling(asked.fill.expect("asked for")).expect("a plan");
        assert_eq!((fill.extent, fill.distribution), (Extent::Requests(1_000), Distribution::Sequential));
        assert_eq!((fill.pipeline, fill.threads), (1, 1), "large values are sent one by one");
        fill.check().expect("it can be done");
    }

    #[test]
    fn what_cannot_be_is_said() {
        for line in [
            "-c 0",
            "-P 0",
            "-t 51",
            "--keys 0",
            "--key-size 5",
            "--rate 0",
            "--rate -1",
            "--sweep x",
            "--mix got",
            "--mix get --command PING",
            "--command PING --weight 1 --weight 2",
            "--weight 1",
            "--seconds -1",
            "--seconds 1 --requests 1",
            "--protocol xml",
        ] {
            assert!(asked(line).is_err(), "{line}");
        }
    }
}
