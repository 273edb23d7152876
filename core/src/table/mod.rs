//! The dashtable.
