//! The targets without a fuzzer: bytes of chance, and what a fuzzer has found once. And the dictionary is current.

use darter_fuzz::{commands, config, dictionary, resp};
use darter_sim::dice::{Concern, Dice};

fn bytes(dice: &mut Dice, most: u64) -> Vec<u8> {
    (0..dice.below(most)).map(|_| dice.bits() as u8).collect()
}

#[test]
fn sequences_of_chance_hold() {
    let mut dice = Dice::new(1, Concern::Workload);
    (0..400).for_each(|_| commands::check(&bytes(&mut dice, 400)));
}

#[test]
fn requests_cut_by_chance_hold() {
    let mut dice = Dice::new(2, Concern::Workload);
    let pieces = [
        "*2\r\n",
        "$3\r\n",
        "GET\r\n",
        "$1\r\nk\r\n",
        "PING\r\n",
        "\r\n",
        "*0\r\n",
        "*-1\r\n",
        "$-1\r\n",
        "\"a b\"",
        " '",
    ];
    for _ in 0..5_000 {
        let mut stream = bytes(&mut dice, 8);
        (0..dice.below(12)).for_each(|_| stream.extend_from_slice(dice.pick(&pieces).as_bytes()));
        resp::check(&stream);
    }
}

#[test]
fn files_of_chance_hold() {
    let mut dice = Dice::new(3, Concern::Workload);
    let pieces = [
        "port ",
        "maxmemory ",
        "save ",
        "1gb",
        "7000",
        "\n",
        "\"",
        "#",
        " ",
        "rename-command ",
        "bind ",
        "yes",
        "\\x41",
    ];
    for _ in 0..3_000 {
        let mut text = bytes(&mut dice, 4);
        (0..dice.below(16)).for_each(|_| text.extend_from_slice(dice.pick(&pieces).as_bytes()));
        config::check(&text);
    }
}

#[test]
fn the_dictionary_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/dictionary.txt");
    if std::env::var_os("DARTER_BLESS").is_some() {
        std::fs::write(path, dictionary::text()).expect("the dictionary can be written");
    }
    let stored = std::fs::read_to_string(path).unwrap_or_default();
    assert!(stored == dictionary::text(), "run DARTER_BLESS=1 cargo test -p darter-fuzz");
}
