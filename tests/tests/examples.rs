//! The reference page is current, and every example in it is true: each call is made with redis-cli against a real server.

use std::io::Write;
use std::process::{Command, Stdio};

use darter_tests::{Server, binary, repository};

fn page() -> String {
    std::fs::read_to_string(repository().join("docs/COMMANDS.md")).expect("the page is there")
}

#[test]
fn the_reference_page_is_made_from_the_table() {
    let printed = Command::new(binary()).arg("--print-commands").output().expect("the binary runs");
    let made = String::from_utf8(printed.stdout).expect("text");
    assert!(
        made == page(),
        "docs/COMMANDS.md is old: cargo run --release -- --print-commands > docs/COMMANDS.md"
    );
}

/// One block of the page: a command's name and its calls with their replies.
struct Block {
    name: String,
    calls: Vec<(String, String)>,
}

fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut name, mut open) = (Vec::<Block>::new(), String::new(), false);
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            name = heading.to_string();
        } else if line == "```" {
            open = !open;
            if open {
                blocks.push(Block { name: name.clone(), calls: Vec::new() });
            }
        } else if open {
            let block = blocks.last_mut().expect("a block is open");
            match line.strip_prefix("> ") {
                Some(call) => block.calls.push((call.to_string(), String::new())),
                None => {
                    let reply = &mut block.calls.last_mut().expect("a reply follows a call").1;
                    reply.push_str(line);
                    reply.push('\n');
                }
            }
        }
    }
    blocks
}

fn redis_cli(port: u16, call: &str) -> String {
    let mut cli = Command::new("redis-cli")
        .args(["-p", &port.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-cli is installed (package redis-tools)");
    let mut stdin = cli.stdin.take().expect("piped");
    writeln!(stdin, "{call}").expect("redis-cli reads");
    drop(stdin);
    let output = cli.wait_with_output().expect("redis-cli ends");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn check_examples(shards: u16) {
    let server = Server::start_with(shards, &["--enable-debug-command", "yes"]);
    let blocks = blocks(&page());
    assert!(blocks.len() > 60, "the page has examples: {}", blocks.len());
    let mut wrong = Vec::new();
    for block in &blocks {
        assert_eq!(server.client().run("FLUSHALL"), "+OK");
        for (call, expected) in &block.calls {
            let found = redis_cli(server.port(), call);
            // redis-cli puts an empty line behind an error.
            let found = found.replace("\r\n", "\n");
            if expected.trim_end() != "*" && found.trim_end_matches('\n') != expected.trim_end_matches('\n') {
                wrong.push(format!("{}: {call}\nexpected {expected:?}\nfound    {found:?}", block.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_example_is_true_on_one_shard() {
    check_examples(1);
}

#[test]
fn every_example_is_true_on_three_shards() {
    check_examples(3);
}
