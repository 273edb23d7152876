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

/// Places in the ring from one core to another: the requests of the sender and its answers to the receiver's.
pub const fn ring_len(cores: u16) -> usize {
    2 * credits(cores)
}

const _: () = assert!(credits(1) >= credits(1_024) && credits(1_024) >= 32);
