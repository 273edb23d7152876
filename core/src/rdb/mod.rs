//! RDB, the format of Redis's dumps: values as bytes and back.
//!
//! Written is what every version of Redis since 5 reads; read is everything that versions 5 to 7.4 and Valkey 8 write. The format is
//! described only by its programs; a description that is close is <https://rdb.fnordig.de/file_format.html>.
//!
//! [`writer`] and [`reader`] know lengths, strings and numbers; [`packed`] the blocks in which small values lie; [`value`] the types;
//! [`dump`] what DUMP gives and RESTORE takes. None of them knows keys, shards or files.

pub mod dump;
pub mod file;
pub mod lzf;
pub mod packed;
pub mod reader;
pub mod slices;
pub mod stream;
pub mod value;
pub mod writer;

/// What is written says that it is of this version: that of Redis 7.0, and of Redis 7.4 where a hash has fields that end.
pub const VERSION: u16 = 10;
/// See [`VERSION`].
pub const VERSION_OF_FIELD_DEADLINES: u16 = 12;
/// Later versions are refused.
pub const VERSION_MAX: u16 = 12;

/// The byte that says how a value is written.
pub mod kind {
    /// A string.
    pub const STRING: u8 = 0;
    /// Elements, each a string.
    pub const LIST: u8 = 1;
    /// Members, each a string.
    pub const SET: u8 = 2;
    /// Members with scores in decimal.
    pub const ZSET: u8 = 3;
    /// Fields and values, each a string.
    pub const HASH: u8 = 4;
    /// Members with binary scores.
    pub const ZSET_2: u8 = 5;
    /// A hash of very small strings, of Redis 2.4.
    pub const HASH_ZIPMAP: u8 = 9;
    /// Elements in a ziplist.
    pub const LIST_ZIPLIST: u8 = 10;
    /// Whole numbers, packed.
    pub const SET_INTSET: u8 = 11;
    /// Members and scores in a ziplist.
    pub const ZSET_ZIPLIST: u8 = 12;
    /// Fields and values in a ziplist.
    pub const HASH_ZIPLIST: u8 = 13;
    /// Several ziplists.
    pub const LIST_QUICKLIST: u8 = 14;
    /// A stream, of Redis 5.
    pub const STREAM: u8 = 15;
    /// Fields and values in a listpack.
    pub const HASH_LISTPACK: u8 = 16;
    /// Members and scores in a listpack.
    pub const ZSET_LISTPACK: u8 = 17;
    /// Several listpacks, or elements too long for one.
    pub const LIST_QUICKLIST_2: u8 = 18;
    /// A stream that knows its past, of Redis 7.0.
    pub const STREAM_2: u8 = 19;
    /// The same whose consumers know when they were active, of Redis 7.2.
    pub const STREAM_3: u8 = 21;
    /// Members in a listpack.
    pub const SET_LISTPACK: u8 = 20;
    /// A hash of which fields end.
    pub const HASH_METADATA: u8 = 24;
    /// The same in a listpack.
    pub const HASH_LISTPACK_EX: u8 = 25;
}

/// Bytes that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt {
    /// Where, counted from the first byte that was given.
    pub at: usize,
    /// What is wrong.
    pub why: &'static str,
}
