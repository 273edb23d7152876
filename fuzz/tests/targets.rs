//! The targets without a fuzzer: bytes of chance, and what a fuzzer has found once. And the dictionary is current.

use darter_fuzz::{commands, config, dictionary, memcached, resp};
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
fn memcached_requests_cut_by_chance_hold() {
    let mut dice = Dice::new(4, Concern::Workload);
    let lines = [
        "set k 5 0 3\r\nabc\r\n",
        "set n 0 0 2 noreply\r\n10\r\n",
        "get k n nosuch\r\n",
        "gets k\r\n",
        "cas k 0 0 1 1\r\nx\r\n",
        "incr n 18446744073709551615\r\n",
        "decr n 3\r\n",
        "append k 0 0 2\r\nyz\r\n",
        "touch k -1\r\n",
        "gat 100 n\r\n",
        "mg k s v t f c h l k Oq N30 R31\r\n",
        "ms Zm9v 3 b T0 F9 c\r\nabc\r\n",
        "md k I T30 q\r\n",
        "ma n N0 J5 D2 MD v\r\n",
        "me k\r\n",
        "set k 0 0 2000\r\n",
        "stats\r\n",
        "flush_all\r\n",
        "delete k 0\r\n",
        " ",
        "\r\n",
    ];
    let headers: [&[u8]; 4] = [
        b"\x80\x01\0\x01\x08\0\0\0\0\0\0\x0cabcd\0\0\0\0\0\0\0\0\0\0\0\x05\0\0\0\0kval",
        b"\x80\x00\0\x01\0\0\0\0\0\0\0\x01abcd\0\0\0\0\0\0\0\0k",
        b"\x80\x0a\0\0\0\0\0\0\0\0\0\0abcd\0\0\0\0\0\0\0\0",
        b"\x80\x10\0\0\0\0\0\0\0\0\0\0abcd\0\0\0\0\0\0\0\0",
    ];
    for _ in 0..2_000 {
        let mut stream: Vec<u8> = (0..6).map(|_| dice.bits() as u8).collect();
        let is_binary = dice.below(3) == 0;
        for _ in 0..dice.below(20) {
            match is_binary {
                true => {
                    let header: &&[u8] = dice.pick(&headers);
                    stream.extend_from_slice(header);
                }
                false => stream.extend_from_slice(dice.pick(&lines).as_bytes()),
            }
            if dice.below(8) == 0 {
                stream.extend_from_slice(&bytes(&mut dice, 5));
            }
        }
        memcached::check(&stream);
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
