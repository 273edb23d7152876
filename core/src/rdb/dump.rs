//! What DUMP gives and RESTORE takes: one value, the version of its form, and a checksum over both.
//!
//! ```text
//! kind 1 | value | version 2 | CRC-64 of all before 8        little endian
//! ```

use super::file::sum_on;
use super::reader::Reader;
use super::value::{Forms, read, version_of, write};
use super::writer::Writer;
use super::{Corrupt, VERSION_MAX};
use crate::value::detached::Detached;
use crate::value::record::Record;

const VERSION_LEN: usize = 2;
const SUM_LEN: usize = 8;

/// Why a payload is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is of a later version, or was changed on its way.
    VersionOrChecksum,
    /// It is as it was written, and no value.
    Corrupt(Corrupt),
}

/// A value as a payload.
pub fn dump(record: &Record, compresses: bool) -> Vec<u8> {
    let mut writer = Writer::new(compresses);
    write(record, None, &mut writer);
    let mut out = writer.out;
    out.extend_from_slice(&version_of(record).to_le_bytes());
    let sum = sum_on(0, &out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

/// The value of a payload.
pub fn restore(payload: &[u8], forms: &Forms) -> Result<Detached, Refused> {
    let (before, sum) = payload.split_last_chunk::<SUM_LEN>().ok_or(Refused::VersionOrChecksum)?;
    let (value, version) = before.split_last_chunk::<VERSION_LEN>().ok_or(Refused::VersionOrChecksum)?;
    // Redis writes zero where checksums are switched off.
    let sum = u64::from_le_bytes(*sum);
    if u16::from_le_bytes(*version) > VERSION_MAX || sum != 0 && sum != sum_on(0, before) {
        return Err(Refused::VersionOrChecksum);
    }
    let mut reader = Reader::new(value);
    let kind = reader.byte().map_err(Refused::Corrupt)?;
    let restored = read(kind, &mut reader, forms).map_err(Refused::Corrupt)?;
    match reader.left() {
        0 => Ok(restored),
        _ => Err(Refused::Corrupt(reader.corrupt("something follows the value"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::hash::Packing;
    use crate::value::list::Fill;
    use crate::value::record::{Access, Value};
    use crate::value::set::SetLimits;
    use crate::value::stream::Limits as PageLimits;
    use crate::value::zset::Limits;

    fn forms() -> Forms {
        let packing = Packing { entries: 8, bytes: 64, seeds: Default::default() };
        let sorted = Limits { entries: 8, value: 64 };
        Forms {
            fill: Fill(-2),
            packing,
            sets: SetLimits { ints: 8, packing },
            sorted,
            pages: PageLimits { bytes: 4_096, entries: 100 },
        }
    }

    #[test]
    fn a_payload_is_that_of_redis() {
        // `SET k 10` and DUMP on redis-server 7.0.15.
        let record = Record::new(b"k", Value::of(b"10"), None, Access(0));
        let payload = dump(&record, true);
        assert_eq!(payload[..4], [0, 0xc0, 10, 10]);
        assert_eq!(restore(&payload, &forms()), Ok(Detached::Integer(10)));
    }

    #[test]
    fn what_was_changed_is_refused() {
        let record = Record::new(b"k", Value::of(b"text"), None, Access(0));
        let payload = dump(&record, false);
        for n in 0..payload.len() {
            let mut changed = payload.clone();
            changed[n] ^= 1;
            assert!(restore(&changed, &forms()).is_err(), "{n}");
            assert_eq!(restore(&payload[..n], &forms()), Err(Refused::VersionOrChecksum), "{n}");
        }
        let mut unsummed = payload.clone();
        let at = unsummed.len() - SUM_LEN;
        unsummed[at..].fill(0);
        assert!(restore(&unsummed, &forms()).is_ok());
        let mut longer = payload[..6].to_vec();
        longer.extend_from_slice(&[7, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(matches!(restore(&longer, &forms()), Err(Refused::Corrupt(_))));
    }
}
