//! Every order in which memory may show the writes of one core to another, explored with loom.
//!
//! What cores share without messages is generic over its atomics: here those of loom take their place, which return every value
//! that the memory model of the language allows. A wrong order, of steps or of memory, must be found, or the check checks nothing.
//!
//! | file | holds |
//! |---|---|
//! | [`ring`] | a ring between two cores, and how a world is explored |
//! | [`stability`] | below a limit that was applied nothing arrives |
//! | [`doorbell`] | no message waits for a core that sleeps |

mod doorbell;
mod ring;
mod stability;
