//! Playing a trace: the server is asked for keys, many at a time, and given those that it did not have, as whoever uses a cache does.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use super::bounds;
use super::law::{self, Law};
use crate::bench::address::{Address, Stream};
use crate::bench::draw::mix;
use crate::bench::protocol::Protocol;

/// Plays a trace to a server and counts what it has.
#[derive(Args, Clone, Debug)]
pub struct TraceFlags {
    #[command(flatten)]
    law: Law,
    /// Read the trace from this file, a number a line, instead of drawing it
    #[arg(long, value_name = "FILE")]
    read: Option<PathBuf>,
    /// Write the trace to this file and play nothing
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Port of the server on 127.0.0.1
    #[arg(long, short, default_value_t = 6379)]
    port: u16,
    /// Language of the server: resp or memcached
    #[arg(long, default_value = "resp")]
    protocol: Protocol,
    /// Bytes of a value: one number, or `from-to` for sizes that the key decides
    #[arg(long, default_value = "200", value_parser = sizes)]
    value_size: (usize, usize),
    /// Keys that are asked for at once
    #[arg(long, default_value_t = 50)]
    at_once: usize,
    /// Percent of the requests that only warm the cache
    #[arg(long, default_value_t = 30)]
    warm: usize,
    /// Process of the server, to tell what is resident
    #[arg(long)]
    pid: Option<u32>,
    /// Do not compute what LRU and the best of all caches have
    #[arg(long)]
    no_bounds: bool,
}

fn sizes(text: &str) -> Result<(usize, usize), String> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.parse().map_err(|error| format!("{text}: {error}"));
    match (number(from)?, number(to)?) {
        (from, to) if from <= to => Ok((from, to)),
        _ => Err("from is larger than to".into()),
    }
}

/// A server that is asked.
struct Server {
    lines: BufReader<Stream>,
    protocol: Protocol,
    out: Vec<u8>,
    values: Vec<u8>,
    sizes: (usize, usize),
}

impl Server {
    fn size_of(&self, key: u32) -> usize {
        let (from, to) = self.sizes;
        from + (mix(u64::from(key)) % (to - from + 1) as u64) as usize
    }

    /// Asks for keys; of each, whether it was there.
    fn get(&mut self, keys: &[u32]) -> Result<Vec<bool>, String> {
        for key in keys {
            let name = format!("key:{key}");
            match self.protocol {
                Protocol::Resp => write!(self.out, "*2\r\n$3\r\nGET\r\n${}\r\n{name}\r\n", name.len()),
                _ => write!(self.out, "get {name}\r\n"),
            }
            .map_err(|error| error.to_string())?;
        }
        self.flush()?;
        keys.iter().map(|_| self.is_there()).collect()
    }

    fn is_there(&mut self) -> Result<bool, String> {
        let line = self.line()?;
        let len = match self.protocol {
            Protocol::Resp if line == "$-1" => return Ok(false),
            Protocol::Resp => line.strip_prefix('$').and_then(|len| len.parse::<usize>().ok()),
            _ if line == "END" => return Ok(false),
            _ => line
                .rsplit(' ')
                .next()
                .filter(|_| line.starts_with("VALUE "))
                .and_then(|len| len.parse().ok()),
        };
        let len = len.ok_or_else(|| format!("a value, not {line:?}"))?;
        let mut bytes = vec![0; len + 2];
        std::io::Read::read_exact(&mut self.lines, &mut bytes).map_err(|error| error.to_string())?;
        if self.protocol != Protocol::Resp {
            self.line()?;
        }
        Ok(true)
    }

    /// Gives keys; how many were refused.
    fn set(&mut self, keys: &[u32]) -> Result<usize, String> {
        for key in keys {
            let (name, len) = (format!("key:{key}"), self.size_of(*key));
            match self.protocol {
                Protocol::Resp => {
                    write!(self.out, "*3\r\n$3\r\nSET\r\n${}\r\n{name}\r\n${len}\r\n", name.len())
                }
                _ => write!(self.out, "set {name} 0 0 {len}\r\n"),
            }
            .map_err(|error| error.to_string())?;
            self.out.extend_from_slice(&self.values[..len]);
            self.out.extend_from_slice(b"\r\n");
        }
        self.flush()?;
        let mut refused = 0;
        for _ in keys {
            let line = self.line()?;
            refused += usize::from(line != "+OK" && line != "STORED");
        }
        Ok(refused)
    }

    /// How many keys it has.
    fn len(&mut self) -> Result<usize, String> {
        let number = |text: &str| text.trim().parse().map_err(|error| format!("{text}: {error}"));
        match self.protocol {
            Protocol::Resp => {
                self.out.extend_from_slice(b"DBSIZE\r\n");
                self.flush()?;
                number(self.line()?.trim_start_matches(':'))
            }
            _ => {
                self.out.extend_from_slice(b"stats\r\n");
                self.flush()?;
                let mut found = 0;
                loop {
                    let line = self.line()?;
                    if line == "END" {
                        return Ok(found);
                    }
                    if let Some(items) = line.strip_prefix("STAT curr_items ") {
                        found = number(items)?;
                    }
                }
            }
        }
    }

    fn flush(&mut self) -> Result<(), String> {
        let written = self.lines.get_mut().write_all(&self.out);
        self.out.clear();
        written.map_err(|error| error.to_string())
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => Err("the server has closed the connection".into()),
            Ok(_) => Ok(line.trim_end().to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Kilobytes that are resident of a process now, and the most that ever were.
fn resident(pid: u32) -> Option<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    Some((field("VmRSS:")?, field("VmHWM:")?))
}

/// Draws or reads the trace, plays it, and says in words what came of it.
///
/// # Errors
/// When a file or the server is not as it should be.
pub fn play(flags: &TraceFlags) -> Result<String, String> {
    let trace = match &flags.read {
        None => flags.law.draw(),
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            law::read(&text)?
        }
    };
    if let Some(path) = &flags.write {
        fs::write(path, law::print(&trace)).map_err(|error| format!("{}: {error}", path.display()))?;
        return Ok(format!("{} requests\n", trace.len()));
    }
    let address = Address::local(flags.port);
    let stream = address.connect().map_err(|error| format!("{address}: {error}"))?;
    let mut server = Server {
        lines: BufReader::with_capacity(1 << 16, stream),
        protocol: flags.protocol,
        out: Vec::new(),
        values: (0..=flags.value_size.1).map(|n| b'a' + (mix(n as u64) % 26) as u8).collect(),
        sizes: flags.value_size,
    };
    let from = trace.len() * flags.warm / 100;
    let (mut hits, mut refused, mut at) = (0, 0, 0);
    let mut spent = Duration::ZERO;
    for keys in trace.chunks(flags.at_once.max(1)) {
        let started = Instant::now();
        let there = server.get(keys)?;
        let mut missing = Vec::new();
        let mut given = HashSet::new();
        for (key, is_there) in keys.iter().zip(there) {
            // Whoever asks a second time before the key was given would have found it.
            let hit = is_there || !given.insert(*key);
            if !hit {
                missing.push(*key);
            }
            hits += usize::from(hit && at >= from);
            at += 1;
        }
        refused += server.set(&missing)?;
        spent += started.elapsed();
    }
    let counted = (trace.len() - from).max(1);
    let percent = |hits: usize| 100.0 * hits as f64 / counted as f64;
    let held = server.len()?;
    let mut text = format!(
        "hits {:.2} %, {held} keys at the end, {refused} refused, {:.0} requests a second",
        percent(hits),
        trace.len() as f64 / spent.as_secs_f64()
    );
    if let Some((now, most)) = flags.pid.and_then(resident) {
        text +=
            &format!(", resident {:.1} MB, at most {:.1} MB", now as f64 / 1_024.0, most as f64 / 1_024.0);
    }
    if !flags.no_bounds {
        let (lru, best) = (bounds::lru(&trace, held, from), bounds::optimal(&trace, held, from));
        text += &format!("; of {held} keys LRU has {:.2} %, the best {:.2} %", percent(lru), percent(best));
    }
    Ok(text + "\n")
}
