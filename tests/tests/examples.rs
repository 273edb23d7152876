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

/// What redis-cli prints for these lines, said over one connection.
fn redis_cli(port: u16, lines: &str) -> String {
    let mut cli = Command::new("redis-cli")
        .args(["-p", &port.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-cli is installed (package redis-tools)");
    let mut stdin = cli.stdin.take().expect("piped");
    writeln!(stdin, "{lines}").expect("redis-cli reads");
    drop(stdin);
    let output = cli.wait_with_output().expect("redis-cli ends");
    String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n")
}

/// True if what was found is what is expected. redis-cli puts an empty line behind an error.
fn is_as_expected(found: &str, expected: &str) -> bool {
    found.trim_end_matches('\n') == expected.trim_end_matches('\n')
}

fn check_examples(shards: u16) {
    let server = Server::start_with(shards, &["--enable-debug-command", "yes"]);
    let blocks = blocks(&page());
    assert!(blocks.len() > 60, "the page has examples: {}", blocks.len());
    let mut wrong = Vec::new();
    for block in &blocks {
        assert_eq!(server.client().run("FLUSHALL"), "+OK");
        // Where every reply is known, the calls are made over one connection, as a reader would; else each for itself.
        let is_known = block.calls.iter().all(|(_, expected)| expected.trim_end() != "*");
        if is_known {
            let lines: Vec<&str> = block.calls.iter().map(|(call, _)| call.as_str()).collect();
            let expected: String = block.calls.iter().map(|(_, expected)| expected.as_str()).collect();
            let found = redis_cli(server.port(), &lines.join("\n"));
            let plain =
                |text: &str| text.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
            if plain(&found) != plain(&expected) {
                wrong.push(format!("{}:\nexpected {expected:?}\nfound    {found:?}", block.name));
            }
            continue;
        }
        for (call, expected) in &block.calls {
            let found = redis_cli(server.port(), call);
            if expected.trim_end() != "*" && !is_as_expected(&found, expected) {
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
