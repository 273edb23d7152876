//! All cores of a process: whether this machine lets them run, how they start together and end together.
//!
//! It does not know flags, files of configuration, nor what a core does.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use darter_core::EngineConfig;
use darter_core::config::Settings;
use darter_core::event::{CoreId, LogLevel};
use darter_core::host::{Instruments, Process};
use glommio::{CpuSet, ExecutorJoinHandle, LocalExecutorBuilder, Placement, PoolPlacement};

use crate::clock::Clock;
use crate::commons::Commons;
use crate::driver::{Driver, Parts};
use crate::listener::Listener;
use crate::mesh;
use crate::network::Network;
use crate::parking;

/// Glommio's own buffers for files, per core; they are locked, so they are resident.
const FILE_MEMORY: usize = 64 << 10;
/// Depth of each of glommio's three rings per core.
const FILE_RING_DEPTH: usize = 64;
/// Glommio's timer against tasks that do not yield, out of the way: when it runs out before the executor has run a task of the
/// queue, glommio 0.9 sleeps although the queue is not empty, and on a busy machine it then sleeps for ever. A core leaves
/// its thread to glommio by waiting, not by yielding.
const PREEMPT_NEVER: Duration = Duration::from_secs(365 * 86_400);
/// What glommio asks for per process.
const LOCKED_MIN: u64 = 512 << 10;

/// Which CPUs the cores run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placing {
    /// Core `n` stays on the `n`-th of these CPUs.
    Pinned(Vec<usize>),
    /// Wherever the system puts them; each has a CPU of its own.
    Free,
    /// As above, but there are more cores than CPUs.
    Crowded,
}

/// Everything that cores are told at the start.
pub struct Start {
    /// How many cores.
    pub cores: u16,
    /// Where they run.
    pub placing: Placing,
    /// Settings in force.
    pub settings: Settings,
    /// Seeds of the key hash.
    pub hash_seeds: [u64; 4],
    /// Seeds of each core's randomness.
    pub random_seeds: Vec<[u8; 32]>,
    /// Facts for INFO.
    pub process: Arc<Process>,
    /// Readings for statistics.
    pub instruments: Instruments,
    /// From [`crate::bind_all`].
    pub listeners: Vec<Listener>,
    /// From [`Stop::new`].
    pub stop: Stop,
    /// Bytes of the dump that is to be loaded, if there is one.
    pub load: Option<u64>,
    /// Changes the threshold of the log.
    pub log_threshold: Arc<dyn Fn(LogLevel) + Send + Sync>,
    /// Called when clients are about to be accepted.
    pub ready: Box<dyn FnOnce() + Send>,
}

/// Asks a running process to stop, from any thread.
#[derive(Debug)]
pub struct Stop(OwnedFd);

impl Stop {
    /// Not asked yet.
    pub fn new() -> io::Result<Stop> {
        parking::eventfd().map(Stop)
    }

    /// Another handle of the same.
    pub fn try_clone(&self) -> io::Result<Stop> {
        self.0.try_clone().map(Stop)
    }

    /// Asks.
    pub fn request(&self) {
        parking::write_one(self.0.as_raw_fd());
    }
}

/// Why cores cannot run here, in one sentence with its remedy.
#[derive(Debug)]
pub enum Failure {
    /// The system refuses io_uring.
    RingRefused(io::Error),
    /// The kernel is too old for what the ring needs.
    RingUnknown(io::Error),
    /// Too little memory may be locked.
    Locked(u64),
    /// A core could not start or go on.
    Core(String),
    /// What was to be loaded cannot be loaded.
    Data(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::RingRefused(error) => write!(
                f,
                "io_uring is not permitted here ({error}): in a container allow it in the seccomp profile \
                 (docker: --security-opt seccomp=unconfined), otherwise set the sysctl kernel.io_uring_disabled=0"
            ),
            Failure::RingUnknown(error) => {
                write!(f, "io_uring of this kernel is too old ({error}): Linux 6.1 or later is needed")
            }
            Failure::Locked(limit) => write!(
                f,
                "cannot lock memory for io_uring ({limit} bytes allowed, {LOCKED_MIN} needed): raise `ulimit -l`, \
                 or LimitMEMLOCK=infinity for systemd, or --ulimit memlock=-1 for docker"
            ),
            Failure::Data(words) => write!(f, "{words}"),
            Failure::Core(words) => write!(f, "a core has failed: {words}"),
        }
    }
}

impl std::error::Error for Failure {}

/// Says whether cores can run here. To be called before any is started.
pub fn probe() -> Result<(), Failure> {
    let limit = raise_locked_limit();
    if limit < LOCKED_MIN {
        return Err(Failure::Locked(limit));
    }
    // A thread of its own, because a ring belongs to the thread that made it.
    let outcome = std::thread::spawn(|| Network::new().map(drop)).join();
    match outcome.unwrap_or_else(|_| Err(io::ErrorKind::Other.into())) {
        Ok(()) => Ok(()),
        Err(error) => Err(match error.raw_os_error() {
            Some(libc::ENOMEM) => Failure::Locked(limit),
            Some(libc::EPERM | libc::EACCES | libc::ENOSYS) => Failure::RingRefused(error),
            _ => Failure::RingUnknown(error),
        }),
    }
}

/// Raises the limit of locked memory as far as it goes and returns it.
fn raise_locked_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls read or write the structure given, which lives on the stack.
    unsafe {
        libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit);
        if limit.rlim_cur < limit.rlim_max {
            let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
            if libc::setrlimit(libc::RLIMIT_MEMLOCK, &raised) == 0 {
                limit = raised;
            }
        }
    }
    limit.rlim_cur
}

/// Runs all cores; returns when all have ended.
pub fn run(start: Start) -> Result<(), Failure> {
    let clock = Clock::start();
    let commons = Arc::new(Commons::new(start.cores));
    let (started, starting) = mpsc::channel::<()>();
    let mut gates = Vec::new();
    let mut threads = Vec::new();
    let mut listeners = start.listeners;
    let mut stop = Some(start.stop.0);
    for (index, mesh) in mesh::connect(start.cores).into_iter().enumerate() {
        let parts = Parts {
            config: EngineConfig {
                core: CoreId(index as u16),
                cores: start.cores,
                credits: darter_core::limits::credits(start.cores),
                hash_seeds: start.hash_seeds,
                random_seed: start.random_seeds[index],
                settings: start.settings.clone(),
                process: start.process.clone(),
                instruments: start.instruments,
                load: start.load,
                persists: true,
            },
            clock,
            mesh,
            commons: commons.clone(),
            // The first core accepts and listens to the stop.
            listeners: std::mem::take(&mut listeners),
            stop: stop.take(),
            spin: start.placing != Placing::Crowded,
            log_threshold: start.log_threshold.clone(),
        };
        let placement = match &start.placing {
            Placing::Pinned(cpus) => Placement::Fixed(cpus[index % cpus.len()]),
            Placing::Free | Placing::Crowded => Placement::Unbound,
        };
        // What waits for a disk runs wherever there is time: beside its core it would wait for that, and that for it.
        let beside = match &start.placing {
            Placing::Pinned(cpus) => PoolPlacement::Fenced(1, these(cpus)?),
            Placing::Free | Placing::Crowded => PoolPlacement::Unbound(1),
        };
        let (gate, opened) = mpsc::channel::<()>();
        gates.push(gate);
        threads.push(spawn_core(index, (placement, beside), parts, started.clone(), opened)?);
    }
    drop(started);
    // Every core says once that it has started; one that fails says nothing and lets go of its end.
    if starting.iter().count() == usize::from(start.cores) {
        (start.ready)();
        for gate in &gates {
            gate.send(()).expect("a core that has started waits");
        }
    }
    drop(gates);
    let outcomes: Vec<_> = threads.into_iter().map(ExecutorJoinHandle::join).collect();
    for outcome in outcomes {
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(Failure::Core(error.to_string())),
            Err(error) => return Err(Failure::Core(error.to_string())),
        }
    }
    commons.failure().map_or(Ok(()), |words| Err(Failure::Data(words)))
}

/// Any of these CPUs.
fn these(cpus: &[usize]) -> Result<CpuSet, Failure> {
    let online = CpuSet::online().map_err(|error| Failure::Core(error.to_string()))?;
    Ok(online.filter(|online| cpus.contains(&online.cpu)))
}

/// Starts a core that waits for `opened` before it serves anybody. A gate that goes away unopened ends it.
fn spawn_core(
    index: usize,
    (placement, beside): (Placement, PoolPlacement),
    parts: Parts,
    started: mpsc::Sender<()>,
    opened: mpsc::Receiver<()>,
) -> Result<ExecutorJoinHandle<io::Result<()>>, Failure> {
    let builder = LocalExecutorBuilder::new(placement)
        .name(&format!("shard-{index}"))
        .blocking_thread_pool_placement(beside)
        .io_memory(FILE_MEMORY)
        .ring_depth(FILE_RING_DEPTH)
        .preempt_timer(PREEMPT_NEVER);
    let serve = move || async move {
        let driver = Driver::new(parts)?;
        let _ = started.send(());
        drop(started);
        match opened.recv() {
            Ok(()) => driver.run().await,
            Err(_) => drop(driver),
        }
        Ok(())
    };
    builder.spawn(serve).map_err(|error| Failure::Core(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

    use super::*;

    /// Starts so many cores on a port of their own, lets `talk` go on with them, stops them, and waits for their end.
    fn check(cores: u16, placing: Placing, talk: impl FnOnce(SocketAddr)) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Stop::new().unwrap();
        let stopper = stop.try_clone().unwrap();
        let (ready, is_ready) = mpsc::channel();
        let start = Start {
            cores,
            placing,
            // Nothing is kept: where the tests run is the project.
            settings: Settings { save: Vec::new(), ..Settings::default() },
            hash_seeds: [1, 2, 3, 4],
            random_seeds: (0..cores).map(|core| [core as u8; 32]).collect(),
            process: Arc::new(Process::default()),
            instruments: Instruments::still(),
            listeners: vec![Listener { socket: listener.into(), door: darter_core::event::Door::Redis }],
            stop,
            log_threshold: Arc::new(|_| {}),
            load: None,
            ready: Box::new(move || ready.send(()).unwrap()),
        };
        let running = std::thread::spawn(|| run(start));
        is_ready.recv().unwrap();
        talk(address);
        stopper.request();
        running.join().unwrap().unwrap();
        assert!(TcpStream::connect(address).is_err(), "nobody accepts after the end");
    }

    /// Sends two requests, says that no more will come, and reads to the end.
    fn ask(address: SocketAddr) {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"PING\r\nPING\r\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        assert_eq!(answers, "+PONG\r\n+PONG\r\n");
    }

    #[test]
    fn this_machine_can_run_cores() {
        probe().unwrap();
    }

    #[test]
    fn every_core_answers_before_it_closes() {
        for cores in [1, 2] {
            check(cores, Placing::Free, |address| (0..2 * cores).for_each(|_| ask(address)));
        }
    }

    #[test]
    fn more_cores_than_cpus_start_and_stop() {
        for _ in 0..3 {
            check(9, Placing::Crowded, ask);
        }
    }

    #[test]
    fn answers_longer_than_a_socket_takes_arrive_whole() {
        const REQUESTS: usize = 500_000;
        check(2, Placing::Free, |address| {
            let mut stream = TcpStream::connect(address).unwrap();
            let mut writer = stream.try_clone().unwrap();
            let writing =
                std::thread::spawn(move || writer.write_all(&b"PING\r\n".repeat(REQUESTS)).unwrap());
            let mut answers = vec![0; 7 * REQUESTS];
            stream.read_exact(&mut answers).unwrap();
            writing.join().unwrap();
            assert!(answers.chunks(7).all(|answer| answer == b"+PONG\r\n"));
        });
    }
}
