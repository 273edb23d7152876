//! Keys of a dump on their way to the shard that owns them, values as they are written: decoding them is the shard's work.
//!
//! What was read of the file is not copied: batches of all shards share the piece in which their keys stand.

use std::borrow::Cow;
use std::sync::Arc;

use crate::hash::KeyHash;
use crate::rdb::file::Entry;
use crate::time::UnixMillis;

/// Keys of one piece of a dump that belong to one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Batch {
    piece: Arc<Vec<u8>>,
    /// Where the piece's first byte stands in the file, modulo 2^64: it may begin with what stands nowhere.
    piece_at: u64,
    keys: Keys,
}

/// Which keys, and where they stand in a piece that is being looked through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Keys {
    heads: Vec<Head>,
    /// Names that are not written as they are.
    names: Vec<u8>,
    /// How many keys the shard will have in all, by database, where that was said since the last batch.
    expected: Vec<(u16, usize)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Head {
    hash: KeyHash,
    deadline: Option<UnixMillis>,
    /// In the piece, or among the names.
    key_at: usize,
    value_at: usize,
    value_len: usize,
    key_len: u32,
    flags: u32,
    database: u16,
    kind: u8,
    is_among_names: bool,
}

/// A key in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded<'a> {
    /// Where it belongs.
    pub database: u16,
    /// Its name.
    pub key: &'a [u8],
    /// The name's.
    pub hash: KeyHash,
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

impl Keys {
    /// Adds an entry that ends here in the piece.
    pub fn push(&mut self, database: u16, entry: &Entry<'_>, hash: KeyHash, flags: u32, end: usize) {
        // The value is the last of an entry, and the key stands before it.
        let value_at = end - entry.value.len();
        let (key_at, is_among_names) = match &entry.key {
            Cow::Borrowed(key) => (value_at - key.len(), false),
            Cow::Owned(key) => {
                self.names.extend_from_slice(key);
                (self.names.len() - key.len(), true)
            }
        };
        self.heads.push(Head {
            hash,
            deadline: entry.deadline,
            key_at,
            value_at,
            value_len: entry.value.len(),
            key_len: entry.key.len() as u32,
            flags,
            database,
            kind: entry.kind,
            is_among_names,
        });
    }

    /// The shard will have so many keys in this database.
    pub fn expect(&mut self, database: u16, keys: usize) {
        self.expected.push((database, keys));
    }

    /// True if there is nothing to be sent.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// With the piece in which they stand.
    pub fn of_piece(self, piece: Arc<Vec<u8>>, piece_at: u64) -> Batch {
        Batch { piece, piece_at, keys: self }
    }
}

impl Batch {
    /// How many keys the shard will have in all, where that is known.
    pub fn expected(&self) -> &[(u16, usize)] {
        &self.keys.expected
    }

    /// Its keys.
    pub fn iter(&self) -> impl Iterator<Item = Loaded<'_>> {
        self.keys.heads.iter().map(|head| {
            let names = if head.is_among_names { &self.keys.names } else { &*self.piece };
            let Head { database, kind, deadline, flags, hash, .. } = *head;
            Loaded {
                database,
                key: &names[head.key_at..][..head.key_len as usize],
                hash,
                deadline,
                flags,
                kind,
                value: &self.piece[head.value_at..][..head.value_len],
                offset: self.piece_at.wrapping_add(head.value_at as u64),
            }
        })
    }
}
