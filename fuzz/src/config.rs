//! The configuration file: no text makes it panic, and what is rewritten says the same when it is read again.

use darter_core::config::{Settings, parse, rewrite};

/// The bytes are a file.
pub fn check(bytes: &[u8]) {
    let defaults = Settings::default();
    let mut settings = defaults.clone();
    let Ok(directives) = parse(bytes) else { return };
    if settings.apply_file(&directives).is_err() {
        return;
    }
    let written = rewrite(bytes, &settings, &defaults);
    let again = parse(&written).expect("what was written can be read");
    let mut read = defaults.clone();
    assert!(read.apply_file(&again).is_ok(), "what was written can be applied");
    assert_eq!(read, settings, "what was written says the same");
    let twice = rewrite(&written, &read, &defaults);
    assert_eq!(
        String::from_utf8_lossy(&twice),
        String::from_utf8_lossy(&written),
        "what was written stays as it is"
    );
}
