//! See [`darter_fuzz::config`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| darter_fuzz::config::check(bytes));
