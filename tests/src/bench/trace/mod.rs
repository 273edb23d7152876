//! Traces: which keys a cache is asked for, one after the other, and how many of them it has.
//!
//! A trace is drawn by a law or read from a file, played to a server that is asked for each key and given what it did not have, and
//! laid beside what a cache of as many keys could have had: the one that forgets what was not used for longest, and the one that knows
//! what is to come.
//!
//! | file | knows |
//! |---|---|
//! | [`law`] | how a trace is drawn, and its form in a file |
//! | [`bounds`] | what exact LRU has, and what nothing can exceed |
//! | [`play`] | asking a server |

pub mod bounds;
pub mod law;
pub mod play;
