//! See [`darter_fuzz::resp`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| darter_fuzz::resp::check(bytes));
