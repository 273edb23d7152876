//! Keys of a dump on their way to the shard that owns them, values as they are written: decoding them is the shard's work.

use crate::rdb::file::Entry;
use crate::time::UnixMillis;

/// A batch is sent when it has so many bytes, or more.
pub const BATCH_BYTES: usize = 128 << 10;
/// Room that it begins with: most get by with it.
const ROOM_BYTES: usize = BATCH_BYTES + (16 << 10);

/// Keys that travel together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Batch {
    /// Keys and values, one after the other.
    bytes: Vec<u8>,
    heads: Vec<Head>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Head {
    database: u16,
    kind: u8,
    deadline: Option<UnixMillis>,
    flags: u32,
    key_len: u32,
    value_len: usize,
    /// Where the value stands in the file.
    offset: u64,
}

/// A key in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded<'a> {
    /// Where it belongs.
    pub database: u16,
    /// Its name.
    pub key: &'a [u8],
    /// When it ends.
    pub deadline: Option<UnixMillis>,
    /// What memcached's clients keep with it.
    pub flags: u32,
    /// How its value is written.
    pub kind: u8,
    /// As it is written.
    pub value: &'a [u8],
    /// Where that stands in the file.
    pub offset: u64,
}

impl Batch {
    /// Adds a key whose value stands at this place of the file, and its flags.
    pub fn push(&mut self, database: u16, entry: &Entry<'_>, flags: u32, offset: u64) {
        if self.bytes.is_empty() {
            // Growing by and by would copy it as often as it is long.
            self.bytes.reserve(ROOM_BYTES);
        }
        self.bytes.extend_from_slice(&entry.key);
        self.bytes.extend_from_slice(entry.value);
        self.heads.push(Head {
            database,
            kind: entry.kind,
            deadline: entry.deadline,
            flags,
            key_len: entry.key.len() as u32,
            value_len: entry.value.len(),
            offset,
        });
    }

    /// Bytes of keys and values.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// True without keys.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Its keys.
    pub fn iter(&self) -> impl Iterator<Item = Loaded<'_>> {
        let mut rest = &self.bytes[..];
        self.heads.iter().map(move |head| {
            let (key, behind) = rest.split_at(head.key_len as usize);
            let (value, behind) = behind.split_at(head.value_len);
            rest = behind;
            let Head { database, kind, deadline, flags, offset, .. } = *head;
            Loaded { database, key, deadline, flags, kind, value, offset }
        })
    }
}
