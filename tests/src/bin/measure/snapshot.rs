//! Snapshots beside redis-server's: what they cost and what they do to clients, and what loading one costs.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use darter_tests::bench::latency::{Latency, Percentiles};
use darter_tests::{Client, Server};

use super::delay::Delays;
use super::overwrite::{Control, Data, Requests, run};
use super::process::{cpu, has_child, memory};
use super::{SERVERS, name};

/// Connections of the load, each with one request at a time.
const CONNECTIONS: usize = 50;
/// How long is measured without a snapshot.
const QUIET: Duration = Duration::from_secs(4);
/// How long the load runs before anything is measured.
const WARM_UP: Duration = Duration::from_secs(2);
/// How often memory is looked at, and whether the snapshot is over.
const LOOK: Duration = Duration::from_millis(20);
/// The same where there is a child.
const RARELY: Duration = Duration::from_millis(500);
/// Phases of the load.
const WARM: usize = 0;
const WITHOUT: usize = 1;
const WITH: usize = 2;

/// What one server has shown.
struct Figures {
    /// Bytes of the dump.
    dump: f64,
    /// Resident before the snapshot under load, and the most during it.
    before: f64,
    peak: f64,
    /// Requests a second and their latencies, without and with a snapshot under way.
    per_second: [f64; 2],
    latency: [Percentiles; 2],
    saved_under_load: f64,
    /// Seconds of a snapshot without load.
    saved: f64,
    saved_cpu: f64,
    /// A single client's requests meanwhile and without.
    probe: [Probe; 2],
    /// Seconds of a start with that dump.
    loaded: f64,
    loaded_cpu: f64,
}

/// A wait that the server has made a client wait, and that counts.
const STOP: Duration = Duration::from_millis(2);

/// What one client met.
pub struct Probe {
    pub latency: Percentiles,
    /// The same without what the threads waited for a CPU.
    own: Percentiles,
    /// How many of those were longer than [`STOP`], for each second.
    stops: f64,
}

/// `rows` is `KEYSxBYTES`: so many keys with values of so many bytes.
pub fn measure(rows: &str) {
    let number = |word: &str, other| word.parse().unwrap_or(other);
    let (keys, value_len) = rows.split_once('x').unwrap_or((rows, ""));
    let data = Data { keys: number(keys, 1_000_000), value_len: number(value_len, 400) as usize };
    println!(
        "\nBGSAVE: {} keys of 16 bytes, values of {} random letters, {CONNECTIONS} connections overwrite; in brackets beside redis-server in the same run",
        data.keys, data.value_len
    );
    let requests = Requests::new(data);
    let found = SERVERS.map(|shards| {
        let directory = Directory::new();
        let figures = one(shards, &directory.0, &requests);
        eprintln!("{} is measured", name(shards));
        figures
    });
    print(&found);
}

fn one(shards: Option<u16>, directory: &Path, requests: &Requests) -> Figures {
    let mut server = start(shards, directory);
    requests.fill(server.port());
    let mut client = server.client();
    // A first one, so that what is allocated once is there.
    save(&server, &mut client, &mut || ());
    let (began, before) = (Instant::now(), cpu(server.pid()));
    save(&server, &mut client, &mut || ());
    let (saved, saved_cpu) = (began.elapsed().as_secs_f64(), (cpu(server.pid()) - before).as_secs_f64());
    let probe = probe(&server, &mut client);

    let control = Control::default();
    let (mut before, mut peak, mut under_load) = (0, 0, 0.0);
    let mut quiet = 0.0;
    let latencies = std::thread::scope(|scope| {
        let (port, told) = (server.port(), &control);
        let load = scope.spawn(move || run(port, requests, CONNECTIONS, told));
        std::thread::park_timeout(WARM_UP);
        let began = Instant::now();
        control.phase.store(WITHOUT, Ordering::Relaxed);
        while began.elapsed() < QUIET {
            std::thread::park_timeout(LOOK);
            before = before.max(memory(server.pid()));
        }
        quiet = began.elapsed().as_secs_f64();
        let began = Instant::now();
        control.phase.store(WITH, Ordering::Relaxed);
        let mut looked = Instant::now();
        save(&server, &mut client, &mut || {
            if !has_child(server.pid()) || looked.elapsed() > RARELY {
                peak = peak.max(memory(server.pid()));
                looked = Instant::now();
            }
        });
        under_load = began.elapsed().as_secs_f64();
        control.phase.store(WARM, Ordering::Relaxed);
        control.is_over.store(true, Ordering::Relaxed);
        load.join().expect("the load goes on")
    });
    let rate = |phase: usize, seconds: f64| latencies[phase].count() as f64 / seconds;
    let per_second = [rate(WITHOUT, quiet), rate(WITH, under_load)];
    let latency = [WITHOUT, WITH].map(|phase: usize| latencies[phase].percentiles());

    assert_eq!(client.run("SAVE"), "+OK");
    drop((client, server));
    let dump = std::fs::metadata(directory.join("dump.rdb")).expect("it was saved").len() as f64;
    let began = Instant::now();
    server = start(shards, directory);
    let (loaded, loaded_cpu) = (began.elapsed().as_secs_f64(), cpu(server.pid()).as_secs_f64());
    let (before, peak) = (before as f64, peak as f64);
    Figures {
        dump,
        before,
        peak,
        per_second,
        latency,
        saved_under_load: under_load,
        saved,
        saved_cpu,
        probe,
        loaded,
        loaded_cpu,
    }
}

/// A BGSAVE from its beginning to its end, with this done now and then.
fn save(server: &Server, client: &mut Client, look: &mut dyn FnMut()) {
    let is_saving = |client: &mut Client| client.run("INFO persistence").contains("rdb_bgsave_in_progress:1");
    let reply = client.run("BGSAVE");
    assert_eq!(reply, "+Background saving started", "process {}", server.pid());
    while is_saving(client) {
        look();
        std::thread::park_timeout(LOOK);
    }
    assert!(client.run("INFO persistence").contains("rdb_last_bgsave_status:ok"), "the snapshot fails");
}

/// One client alone that asks again as soon as it is answered, during a snapshot and, as long, without.
pub fn probe(server: &Server, client: &mut Client) -> [Probe; 2] {
    let mut lasts = QUIET;
    [true, false].map(|saves| {
        let (mut latency, mut own, mut stops) = (Latency::new(), Latency::new(), 0);
        let mut asking = server.client();
        let delays = Delays::of(server.pid());
        let mut ask = || {
            let (kept, began) = (delays.kept(), Instant::now());
            assert_eq!(asking.run("PING"), "+PONG");
            let waited = began.elapsed();
            let without = waited.saturating_sub(delays.kept().since(&kept));
            latency.record(waited.as_nanos() as u64, 1);
            own.record(without.as_nanos() as u64, 1);
            stops += u32::from(without > STOP);
        };
        let began = Instant::now();
        if saves {
            assert_eq!(client.run("BGSAVE"), "+Background saving started");
            let mut asked = began;
            loop {
                ask();
                if asked.elapsed() > LOOK {
                    asked = Instant::now();
                    if client.run("INFO persistence").contains("rdb_bgsave_in_progress:0") {
                        break;
                    }
                }
            }
            lasts = began.elapsed();
        } else {
            while began.elapsed() < lasts {
                ask();
            }
        }
        let stops = f64::from(stops) / began.elapsed().as_secs_f64();
        Probe { latency: latency.percentiles(), own: own.percentiles(), stops }
    })
}

/// A server whose files lie there, `shards` of Darter or redis-server if there are none.
pub fn start(shards: Option<u16>, directory: &Path) -> Server {
    match shards {
        Some(shards) => Server::start_in(directory, shards),
        None => Server::redis_in(directory),
    }
}

/// A figure of a server, decimals, and whether less is better or more does not matter for the ratio that is shown.
type Row = (&'static str, usize, fn(&Figures) -> f64);

fn print(found: &[Figures; 3]) {
    const GB: f64 = 1e9;
    let rows: [Row; 24] = [
        ("dump, MB", 0, |found| found.dump / 1e6),
        ("resident before, MB", 0, |found| found.before / 1e6),
        ("most during BGSAVE, of before", 3, |found| found.peak / found.before),
        ("requests/s without", 0, |found| found.per_second[0]),
        ("requests/s during BGSAVE", 0, |found| found.per_second[1]),
        ("  of without", 2, |found| found.per_second[1] / found.per_second[0]),
        ("p99 without, us", 0, |found| found.latency[0].p99),
        ("p99 during BGSAVE, us", 0, |found| found.latency[1].p99),
        ("  of without", 2, |found| found.latency[1].p99 / found.latency[0].p99),
        ("longest without, us", 0, |found| found.latency[0].max),
        ("longest during BGSAVE, us", 0, |found| found.latency[1].max),
        ("BGSAVE under load, s", 2, |found| found.saved_under_load),
        ("BGSAVE without load, s per GB", 2, |found| found.saved / (found.dump / GB)),
        ("  CPU s per GB", 2, |found| found.saved_cpu / (found.dump / GB)),
        ("  one client's PING, p99.99, us", 0, |found| found.probe[0].latency.p9999),
        ("    without BGSAVE", 0, |found| found.probe[1].latency.p9999),
        ("  without waits for a CPU, us", 0, |found| found.probe[0].own.p9999),
        ("    without BGSAVE", 0, |found| found.probe[1].own.p9999),
        ("    longest, us", 0, |found| found.probe[0].own.max),
        ("    longest without BGSAVE, us", 0, |found| found.probe[1].own.max),
        ("    above 2 ms, each second", 3, |found| found.probe[0].stops),
        ("    the same without BGSAVE", 3, |found| found.probe[1].stops),
        ("start with the dump, s per GB", 2, |found| found.loaded / (found.dump / GB)),
        ("  CPU s per GB", 2, |found| found.loaded_cpu / (found.dump / GB)),
    ];
    println!("{:34} {:>14} {:>22} {:>22}", "", name(SERVERS[0]), name(SERVERS[1]), name(SERVERS[2]));
    for (title, decimals, figure) in rows {
        let [redis, one, two] = found.each_ref().map(figure);
        let beside = |own: f64| format!("{own:.decimals$} ({:.2} x)", own / redis);
        println!("{title:34} {redis:>14.decimals$} {:>22} {:>22}", beside(one), beside(two));
    }
}

/// Where a server's files lie; removed with it.
pub struct Directory(pub PathBuf);

impl Directory {
    /// A new one.
    pub fn new() -> Directory {
        let own = std::process::id();
        let path = std::env::temp_dir().join(format!("darter-measure-{own}-{}", darter_tests::free_port()));
        std::fs::create_dir_all(&path).expect("the system has a place for temporary files");
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left of a measurement does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
