//! All bounds in one place, related to each other by assertions.

/// Requests that one core may have unanswered at another. Every message that wants an answer holds one of these
/// credits until the answer has come, so no ring can overflow and no core ever waits for room.
pub const fn credits(cores: u16) -> usize {
    let share = 8_192 / if cores == 0 { 1 } else { cores as usize };
    if share < 32 {
        32
    } else if share > 1_024 {
        1_024
    } else {
        share
    }
}

/// Places in the ring from one core to another: the requests of the sender, its answers to the receiver's, and as many releases. A
/// release gives the transaction's credits back; before those can come back once more the receiver has drained the request that took
/// them, and the release that stood before it.
pub const fn ring_len(cores: u16) -> usize {
    ring_places(credits(cores))
}

/// The same for this many credits.
pub const fn ring_places(credits: usize) -> usize {
    3 * credits
}

/// Requests of one client that other cores have not answered yet.
pub const IN_FLIGHT_MAX: usize = 512;

/// Unread output, bytes, above which a client's next request waits, and below which it is looked at again. A client may write a
/// long pipeline before it reads, so this is generous; `client-output-buffer-limit` may close it earlier.
pub const OUTPUT_HIGH: usize = 64 << 20;
/// Transactions of a core that may ask other servers at one time: each holds a credit at each shard that takes part.
pub const ERRANDS_MAX: usize = 4;
/// See [`OUTPUT_HIGH`].
pub const OUTPUT_LOW: usize = OUTPUT_HIGH / 2;

/// Unread output, bytes, above which a client that watches loses lines instead of getting them.
pub const WATCHER_OUTPUT_MAX: usize = 256 << 10;

/// Unread output, bytes, above which no further piece of a dump of all items is asked for.
pub const CRAWL_OUTPUT_MAX: usize = 256 << 10;

/// Unconsumed input, bytes, above which a client whose request waits is not read any more.
pub const HELD_INPUT_MAX: usize = 64 << 10;

/// Commands of one client before others have their turn.
pub const COMMANDS_PER_EVENT: usize = 1_024;

/// Milliseconds between two looks at idle clients.
pub const CRON_MILLIS: u64 = 500;

/// Buckets that one wake-up looks at for expired keys, and the pause between two wake-ups, so that clients come first.
pub const SWEEP_STEPS: usize = 256;
/// See [`SWEEP_STEPS`].
pub const SWEEP_PAUSE_MILLIS: u64 = 20;

/// How long a stopping server waits for clients to take their last replies.
pub const STOP_MILLIS: u64 = 3_000;

/// Parts of a snapshot that each of so many shards may have on their way to the file. The file's thread may have to wait some milliseconds for a CPU that
/// a shard has, in which each writes about as many; and all of them together lie with the keeper at worst.
pub const fn snapshot_parts(cores: u16) -> usize {
    let share = 32 / if cores == 0 { 1 } else { cores as usize };
    if share < 2 {
        2
    } else if share > 16 {
        16
    } else {
        share
    }
}

const _: () = assert!(snapshot_parts(1_024) < credits(1_024));
const _: () = assert!(credits(1) >= credits(1_024) && credits(1_024) >= 32);
const _: () = assert!(OUTPUT_LOW < OUTPUT_HIGH);
