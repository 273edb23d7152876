//! What tests of several rooms share: commands as one writes them down.

use crate::reference::Shard;

/// A line's words, divided by spaces.
pub(crate) fn words(line: &str) -> Vec<Vec<u8>> {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// Runs lines on a shard of the reference; each reply must look like this.
#[track_caller]
pub(crate) fn check_replies(shard: &mut Shard, lines: &[(&str, &str)]) {
    for (line, expected) in lines {
        let reply = shard.run(0, &words(line)).expect("the reference knows it");
        assert_eq!(format!("{reply:?}"), *expected, "{line}");
    }
}
