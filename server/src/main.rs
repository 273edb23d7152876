//! The `darter` binary.
fn main() {}
