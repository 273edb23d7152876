//! See [`darter_fuzz::memcached`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| darter_fuzz::memcached::check(bytes));
