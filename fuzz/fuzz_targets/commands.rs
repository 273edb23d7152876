//! See [`darter_fuzz::commands`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| darter_fuzz::commands::check(bytes));
