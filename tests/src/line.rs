//! Commands as one writes them down: a line of words, said on a connection.

use crate::reply::Reply;
use crate::values::{Connection, call};

/// Says a line, whose words are divided by spaces, and reads the reply; `""` is the empty word.
pub fn run(client: &mut Connection, line: &str) -> Reply {
    let words: Vec<&[u8]> =
        line.split(' ').map(|word| if word == "\"\"" { "" } else { word }.as_bytes()).collect();
    call(client, &words)
}

/// Says lines, none of which may fail.
pub fn run_all(client: &mut Connection, lines: &[&str]) {
    for line in lines {
        let reply = run(client, line);
        assert_eq!(reply.error(), None, "{line}");
        if let Reply::Array(replies) = reply {
            assert!(replies.iter().all(|reply| reply.error().is_none()), "{line}: {replies:?}");
        }
    }
}

/// What INFO says of persistence under a name.
pub fn info(client: &mut Connection, name: &str) -> String {
    let Reply::Bulk(text) = run(client, "INFO persistence") else { panic!("INFO answers with text") };
    let text = String::from_utf8(text).expect("INFO is text");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.unwrap_or_else(|| panic!("{name} is missing")).to_string()
}
