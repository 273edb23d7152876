//! SLOWLOG: the latest calls that took long.

use std::collections::VecDeque;

use crate::args::Args;

/// Arguments and bytes of an argument that an entry keeps, as in Redis.
const ARGS_MAX: usize = 32;
const ARGUMENT_MAX: usize = 128;

/// A slow call, as the core that ran it saw it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SlowCall {
    /// How long it ran.
    pub micros: u64,
    /// Its arguments, shortened.
    pub args: Vec<Vec<u8>>,
}

impl SlowCall {
    /// Keeps the first arguments, each as far as its first bytes, and says how much was left out.
    pub fn new(micros: u64, args: Args<'_>) -> SlowCall {
        let kept = if args.len() > ARGS_MAX { ARGS_MAX - 1 } else { args.len() };
        let mut words: Vec<Vec<u8>> = args
            .iter()
            .take(kept)
            .map(|argument| match argument.len().checked_sub(ARGUMENT_MAX) {
                Some(more) if more > 0 => {
                    [&argument[..ARGUMENT_MAX], format!("... ({more} more bytes)").as_bytes()].concat()
                }
                _ => argument.to_vec(),
            })
            .collect();
        if kept < args.len() {
            words.push(format!("... ({} more arguments)", args.len() - kept).into_bytes());
        }
        SlowCall { micros, args: words }
    }
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SlowEntry {
    /// Unique and growing on its core.
    pub id: u64,
    /// When, in seconds.
    pub unix_seconds: u64,
    /// What.
    pub call: SlowCall,
    /// Whose address.
    pub address: String,
    /// And name.
    pub name: Vec<u8>,
}

/// The log of one core's clients, newest first.
#[derive(Clone, Debug, Default)]
pub struct Slowlog {
    entries: VecDeque<SlowEntry>,
    made: u64,
}

impl Slowlog {
    /// Keeps an entry, and no more than `max` in all. Ids of different cores differ: they are interleaved.
    pub fn push(&mut self, mut entry: SlowEntry, max: u64, core: u16, cores: u16) {
        entry.id = self.made * u64::from(cores) + u64::from(core);
        self.made += 1;
        self.entries.push_front(entry);
        self.truncate(max);
    }

    /// Keeps no more than `max` entries, the newest.
    pub fn truncate(&mut self, max: u64) {
        self.entries.truncate(usize::try_from(max).unwrap_or(usize::MAX));
    }

    /// Newest first.
    pub fn entries(&self) -> impl Iterator<Item = &SlowEntry> {
        self.entries.iter()
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True without entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets all entries; ids go on.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::OwnedArgs;

    #[test]
    fn long_calls_are_shortened_as_in_redis() {
        let words: Vec<Vec<u8>> = (0..40).map(|_| vec![b'x'; 130]).collect();
        let call = SlowCall::new(1, OwnedArgs::new(&words).view());
        assert_eq!(call.args.len(), 32);
        assert_eq!(call.args[0], [&[b'x'; 128][..], b"... (2 more bytes)"].concat());
        assert_eq!(call.args[31], b"... (9 more arguments)");
    }

    #[test]
    fn the_newest_stay() {
        let mut log = Slowlog::default();
        for second in 0..5 {
            let call = SlowCall { micros: 1, args: Vec::new() };
            log.push(
                SlowEntry { id: 0, unix_seconds: second, call, address: String::new(), name: Vec::new() },
                2,
                1,
                4,
            );
        }
        let kept: Vec<(u64, u64)> = log.entries().map(|e| (e.id, e.unix_seconds)).collect();
        assert_eq!(kept, [(17, 4), (13, 3)]);
    }
}
