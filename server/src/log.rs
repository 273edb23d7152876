//! The log: one line per event, as Redis writes it: `PID:M 21 Nov 2026 21:33:00.123 * text`.
//!
//! It knows levels, time stamps and where lines go. It does not know who logs.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use darter_core::event::LogLevel;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

/// The least level that is written, as a number.
static THRESHOLD: AtomicU8 = AtomicU8::new(LogLevel::Notice as u8);

/// Where lines go.
enum Target {
    Output,
    File(Mutex<File>),
}

/// Writes events of the whole process.
struct Log {
    target: Target,
    pid: u32,
}

/// Begins to log, to standard output if `path` is empty. To be called once, after the last fork.
pub fn start(path: &str, level: LogLevel) -> Result<(), String> {
    let target = if path.is_empty() {
        Target::Output
    } else {
        let file = OpenOptions::new().create(true).append(true).open(path);
        Target::File(Mutex::new(file.map_err(|error| format!("cannot open the log file '{path}': {error}"))?))
    };
    set_threshold(level);
    let log = Log { target, pid: std::process::id() };
    tracing::subscriber::set_global_default(log).map_err(|error| error.to_string())
}

/// Changes what is written from now on.
pub fn set_threshold(level: LogLevel) {
    THRESHOLD.store(level as u8, Ordering::Relaxed);
}

fn level_of(level: &Level) -> LogLevel {
    match *level {
        Level::TRACE => LogLevel::Debug,
        Level::DEBUG => LogLevel::Verbose,
        Level::INFO => LogLevel::Notice,
        Level::WARN | Level::ERROR => LogLevel::Warning,
    }
}

fn mark(level: LogLevel) -> char {
    match level {
        LogLevel::Debug => '.',
        LogLevel::Verbose => '-',
        LogLevel::Notice => '*',
        LogLevel::Warning => '#',
    }
}

/// The local time of a moment, as Redis prints it.
fn stamp(moment: SystemTime) -> String {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs() as libc::time_t;
    let mut text = [0u8; 32];
    // SAFETY: both calls write into the structures given, at most the length given, and the format ends with a zero.
    let len = unsafe {
        let mut parts: libc::tm = std::mem::zeroed();
        libc::localtime_r(&seconds, &mut parts);
        libc::strftime(text.as_mut_ptr().cast(), text.len(), c"%d %b %Y %H:%M:%S".as_ptr(), &parts)
    };
    format!("{}.{:03}", String::from_utf8_lossy(&text[..len]), since.subsec_millis())
}

/// Puts an event's message, and its fields if it has any, on one line.
#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let outcome = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
        outcome.expect("a string takes everything");
    }
}

impl Subscriber for Log {
    // Asked at every event, because the threshold changes.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        level_of(metadata.level()) as u8 >= THRESHOLD.load(Ordering::Relaxed)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let level = level_of(event.metadata().level());
        let text = format!("{}:M {} {} {}\n", self.pid, stamp(SystemTime::now()), mark(level), line.0);
        // A log that cannot be written has nowhere to complain.
        let _ = match &self.target {
            Target::Output => io::stdout().lock().write_all(text.as_bytes()),
            Target::File(file) => file.lock().expect("no writer panics").write_all(text.as_bytes()),
        };
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_look_like_those_of_redis_and_the_threshold_can_move() {
        let path = std::env::temp_dir().join(format!("darter-log-{}", std::process::id()));
        start(path.to_str().unwrap(), LogLevel::Notice).unwrap();
        let emit = || {
            tracing::debug!("verbose");
            tracing::info!("notice");
            tracing::warn!("warning");
        };
        emit();
        set_threshold(LogLevel::Warning);
        emit();
        set_threshold(LogLevel::Debug);
        emit();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let marks: Vec<&str> = lines.iter().map(|line| line.split_once(':').unwrap().1).collect();
        let ends: Vec<String> = marks.iter().map(|line| line[line.len() - 9..].trim().to_string()).collect();
        let expected = ["* notice", "# warning", "# warning", "- verbose", "* notice", "# warning"];
        assert_eq!(lines.len(), expected.len(), "{text}");
        for (end, expected) in ends.iter().zip(expected) {
            assert!(end.ends_with(expected), "{end} is not {expected}");
        }
        assert!(lines[0].starts_with(&format!("{}:M ", std::process::id())), "{}", lines[0]);
        assert_eq!(stamp(UNIX_EPOCH).len(), "01 Jan 1970 00:00:00.000".len());
    }
}
