//! The reference page of all commands, made from the table. Its examples are calls that the tests make.

use std::fmt::Write;

use super::row::Group;
use super::table::{self, CommandId};
use super::{row::Command, syntax};

const GROUPS: [Group; 13] = [
    Group::String,
    Group::List,
    Group::Hash,
    Group::Set,
    Group::SortedSet,
    Group::Geo,
    Group::Stream,
    Group::Generic,
    Group::Bitmap,
    Group::Hyperloglog,
    Group::Transactions,
    Group::Connection,
    Group::Server,
];

/// The page as Markdown. Examples stand in blocks: `> ` and the call, then the reply as redis-cli prints it when it does not write
/// to a terminal; a lone `*` is a reply that differs from run to run.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Commands\n\nMade by `darter --print-commands` from the command table; do not edit. Each block of calls begins with an empty \
         store; the replies are what `redis-cli` prints into a pipe, and `*` stands for a reply that differs from run to run.\n\n",
    );
    for group in GROUPS {
        let mut ids: Vec<CommandId> = table::top_level().filter(|id| id.row().group == group).collect();
        ids.sort_by_key(|id| id.row().name);
        let names: Vec<String> = ids.iter().map(|id| id.row().name.to_uppercase()).collect();
        // Writing to a string does not fail.
        let _ = writeln!(page, "**{}**: {}\n", group.name(), names.join(" "));
    }
    for group in GROUPS {
        let _ = writeln!(page, "## {}\n", group.name());
        let mut ids: Vec<CommandId> = table::top_level().filter(|id| id.row().group == group).collect();
        ids.sort_by_key(|id| id.row().name);
        for id in ids {
            section(&mut page, id);
            id.children().for_each(|child| section(&mut page, child));
        }
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

fn section(page: &mut String, id: CommandId) {
    let row: &Command = id.row();
    let name = id.full_name().replace('|', " ").to_uppercase();
    let usage = format!("{name} {}", syntax::shown(row.syntax));
    let flags: Vec<&str> = row.flags.names().collect();
    let _ = writeln!(page, "### {name}\n\n`{}`\n\n{}\n", usage.trim_end(), row.summary);
    let _ = write!(page, "Since {} · {}", row.since, row.complexity);
    let _ = writeln!(page, "{}{}\n", if flags.is_empty() { "" } else { " · " }, flags.join(" "));
    if !row.examples.is_empty() {
        page.push_str("```\n");
        for example in row.examples {
            let _ = writeln!(page, "> {}\n{}", example.call, example.reply);
        }
        page.push_str("```\n\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_its_section() {
        let page = markdown();
        for id in table::all() {
            let heading = format!("### {}\n", id.full_name().replace('|', " ").to_uppercase());
            assert_eq!(page.matches(&heading).count(), 1, "{heading}");
        }
    }
}
