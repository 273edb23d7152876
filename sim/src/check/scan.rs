//! A full scan returns every key that was there throughout. It may return a key twice; it may not invent one, which is held for each
//! reply by itself.

use std::collections::BTreeSet;

use crate::reference::Shard;

/// A scan under way.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// COUNT.
    pub count: u64,
    /// The moment of the reference at which it began.
    pub began: u64,
    /// Its database.
    pub database: usize,
    /// What it has returned.
    pub found: BTreeSet<Vec<u8>>,
    /// Calls so far.
    pub calls: u64,
}

impl Scan {
    /// It has ended: compares with what lies there now. A key that is older than the scan and lives was there throughout.
    pub fn check(&self, shards: &[Shard]) -> Result<(), String> {
        for shard in shards {
            let missing = shard
                .living(self.database)
                .find(|(key, entry)| entry.born < self.began && !self.found.contains(*key));
            if let Some((key, _)) = missing {
                return Err(format!(
                    "a scan of {} calls did not return {:?}, which was there throughout",
                    self.calls,
                    String::from_utf8_lossy(key)
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_there_throughout_must_be_found() {
        let mut shard = Shard::new(1);
        for (moment, key) in [(1, "old"), (9, "new")] {
            shard.moment = moment;
            shard.store(0, key.as_bytes(), Vec::new(), None);
        }
        let mut scan = Scan { began: 5, ..Scan::default() };
        assert!(scan.check(std::slice::from_ref(&shard)).is_err());
        scan.found.insert(b"old".to_vec());
        assert!(scan.check(&[shard]).is_ok());
    }
}
