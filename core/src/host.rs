//! What the engine may know of the process around it: for statistics and replies, never for a decision.

/// Fixed facts of the process, for INFO.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// 40 hexadecimal digits, new at every start.
    pub run_id: String,
    /// As `uname -srm` says.
    pub os: String,
    /// Absolute path of the binary.
    pub executable: String,
    /// Absolute path of the configuration file, empty if there is none.
    pub config_file: String,
    /// The current directory at start.
    pub directory: String,
    /// Bytes of memory of the machine or its control group.
    pub memory: u64,
    /// Names the machine's start: while it is the same, what was written to files has not been lost to power. Empty: not known.
    pub boot: String,
}

/// What the process uses now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Usage {
    /// Resident bytes.
    pub resident: u64,
    /// CPU time in the kernel and in user mode, microseconds, of all threads.
    pub cpu_system_micros: u64,
    /// See above.
    pub cpu_user_micros: u64,
    /// The same of the calling thread.
    pub cpu_system_thread_micros: u64,
    /// See above.
    pub cpu_user_thread_micros: u64,
}

/// Readings of the outside world that may reach statistics only; but what is resident also decides how much `maxmemory` leaves.
#[derive(Clone, Copy, Debug)]
pub struct Instruments {
    /// Nanoseconds, for the durations of SLOWLOG, LATENCY and INFO commandstats. Need not be related to `Now`.
    pub stopwatch: fn() -> u64,
    /// What the process uses.
    pub usage: fn() -> Usage,
    /// Ask the allocator to give unused memory back to the system (MEMORY PURGE).
    pub purge: fn(),
}

impl Instruments {
    /// Instruments that always read zero: for tests and models.
    pub fn still() -> Instruments {
        Instruments { stopwatch: || 0, usage: Usage::default, purge: || {} }
    }
}
