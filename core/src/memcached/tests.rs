//! What memcached's clients see: sent as bytes, on one core and on several, beside clients of Redis's protocol.

use crate::testing::{Client, World};

/// Runs a conversation on worlds of one and of three cores: each line is sent with its end, and what comes back is compared.
fn check(conversation: &[(&str, &str)]) {
    for cores in [1, 3] {
        let mut world = World::new(cores);
        let client = world.connect_memcached(0);
        for (request, reply) in conversation {
            assert_eq!(&say(&mut world, client, request), reply, "{request:?} on {cores} cores");
        }
        assert_eq!(world.unfinished(), Vec::<String>::new());
    }
}

/// Sends lines, `|` between them; the reply with `|` for its line ends.
fn say(world: &mut World, client: Client, lines: &str) -> String {
    world.send(client, format!("{lines}|").replace('|', "\r\n").as_bytes());
    world.receive(client).replace("\r\n", "|")
}

#[test]
fn the_limit_of_memory_is_that_of_all_cores() {
    for cores in [1, 3] {
        let mut world = World::new(cores);
        let (client, other) = (world.connect_memcached(0), world.connect(cores - 1));
        for (request, reply) in [
            ("cache_memlimit", "ERROR|"),
            ("cache_memlimit 7", "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m|"),
            ("cache_memlimit 64000000000", "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes|"),
            ("cache_memlimit 64", "OK|"),
            ("cache_memlimit 65 noreply", ""),
        ] {
            assert_eq!(say(&mut world, client, request), reply, "{request} on {cores} cores");
        }
        assert_eq!(world.say(other, "CONFIG GET maxmemory"), "maxmemory\n68157440");
        let settings = say(&mut world, client, "stats settings");
        assert!(settings.contains("STAT maxbytes 68157440|"), "{settings}");
    }
}

#[test]
fn values_are_stored_and_read() {
    check(&[
        ("set a 5 0 2|ab", "STORED|"),
        ("get a", "VALUE a 5 2|ab|END|"),
        ("get nosuch a b", "VALUE a 5 2|ab|END|"),
        ("add a 0 0 1|x", "NOT_STORED|"),
        ("add b 0 0 1|x", "STORED|"),
        ("replace c 0 0 1|x", "NOT_STORED|"),
        ("append b 7 0 2|yz", "STORED|"),
        ("prepend b 0 0 1|w", "STORED|"),
        ("get a b c", "VALUE a 5 2|ab|VALUE b 0 4|wxyz|END|"),
        ("set n 4294967295 0 0|", "STORED|"),
        ("get n", "VALUE n 4294967295 0||END|"),
        ("delete a", "DELETED|"),
        ("delete a", "NOT_FOUND|"),
        ("set q 0 0 1 noreply|1|get q", "VALUE q 0 1|1|END|"),
        ("set k 0 0 2|abc|mn", "CLIENT_ERROR bad data chunk|ERROR|MN|"),
        ("version", "VERSION 1.6.18|"),
    ]);
}

#[test]
fn numbers_wrap_above_and_stop_below() {
    check(&[
        ("set n 3 0 2|10", "STORED|"),
        ("decr n 1", "9|"),
        ("get n", "VALUE n 3 2|9 |END|"),
        ("incr n 1", "10|"),
        ("get n", "VALUE n 3 2|10|END|"),
        ("decr n 100", "0|"),
        ("set m 0 0 20|18446744073709551615", "STORED|"),
        ("incr m 2", "1|"),
        ("incr nosuch 1", "NOT_FOUND|"),
        ("set t 0 0 1|x", "STORED|"),
        ("incr t 1", "CLIENT_ERROR cannot increment or decrement non-numeric value|"),
        ("incr n 1 noreply|incr n 1", "2 |".replace(' ', "").as_str()),
    ]);
}

#[test]
fn a_number_may_have_much_behind_it_until_memcached_would_keep_it_in_pieces() {
    // An item's own bytes, and its key's, count too: memcached 1.6.18 adds to the first of the last two, and not to the second.
    let most = 512 * 1024 - 60;
    for (len, is_number) in [(3, true), (5_000, true), (most, true), (most + 1, false)] {
        let value = format!("6  {}", "z".repeat(len - 3));
        let sum =
            if is_number { "5|" } else { "CLIENT_ERROR cannot increment or decrement non-numeric value|" };
        let after = if is_number { format!("5{}", " ".repeat(len - 1)) } else { value.clone() };
        check(&[
            (&format!("set k 0 0 {len}|{value}"), "STORED|"),
            ("decr k 1", sum),
            ("get k", &format!("VALUE k 0 {len}|{after}|END|")),
        ]);
    }
}

/// The stamp in the answer to `gets`.
fn stamp(answer: &str) -> u64 {
    let line = answer.split('|').next().unwrap_or("");
    line.rsplit(' ')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("no stamp in {answer}"))
}

#[test]
fn a_stamp_names_one_state_and_every_change_ends_it() {
    for cores in [1, 3] {
        let mut world = World::new(cores);
        let (client, redis) = (world.connect_memcached(0), world.connect(0));
        assert_eq!(say(&mut world, client, "set k 1 0 1|5"), "STORED|");
        let first = stamp(&say(&mut world, client, "gets k"));
        assert_eq!(stamp(&say(&mut world, client, "gets k")), first, "to look changes nothing");
        say(&mut world, client, "touch k 100");
        assert_eq!(stamp(&say(&mut world, client, "gets k")), first, "nor does another end");
        assert_eq!(say(&mut world, client, &format!("cas k 1 0 1 {first}|6")), "STORED|");
        assert_eq!(say(&mut world, client, &format!("cas k 1 0 1 {first}|7")), "EXISTS|");
        assert_eq!(say(&mut world, client, &format!("cas nosuch 1 0 1 {first}|7")), "NOT_FOUND|");
        for change in
            ["INCR k", "APPEND k 1", "SETRANGE k 0 7", "GETSET k 9", "SET k 9 KEEPTTL", "SETBIT k 0 1"]
        {
            let before = stamp(&say(&mut world, client, "gets k"));
            world.call(redis, change);
            assert_eq!(say(&mut world, client, &format!("cas k 0 0 1 {before}|0")), "EXISTS|", "{change}");
            let after = stamp(&say(&mut world, client, "gets k"));
            assert!(after > before, "{change}");
        }
        let last = stamp(&say(&mut world, client, "gets k"));
        world.call(redis, "DEL k");
        say(&mut world, client, "set k 0 0 1|0");
        assert_eq!(say(&mut world, client, &format!("cas k 0 0 1 {last}|1")), "EXISTS|");
        assert_eq!(world.unfinished(), Vec::<String>::new());
    }
}

#[test]
fn both_doors_lead_to_the_same_keys() {
    for cores in [1, 3] {
        let mut world = World::new(cores);
        let (client, redis) = (world.connect_memcached(0), world.connect(cores - 1));
        assert_eq!(say(&mut world, client, "set k 9 0 5|hello"), "STORED|");
        assert_eq!(world.say(redis, "GET k"), "hello");
        assert_eq!(world.say(redis, "APPEND k !"), "6");
        assert_eq!(say(&mut world, client, "get k"), "VALUE k 9 6|hello!|END|");
        assert_eq!(world.say(redis, "SET k 42"), "OK");
        assert_eq!(say(&mut world, client, "get k"), "VALUE k 0 2|42|END|");
        assert_eq!(say(&mut world, client, "incr k 1"), "43|");
        assert_eq!(world.say(redis, "INCR k"), "44");
        world.say(redis, "RPUSH list x");
        let trouble = "SERVER_ERROR WRONGTYPE Operation against a key holding the wrong kind of value|";
        assert_eq!(say(&mut world, client, "get list"), trouble);
        assert_eq!(say(&mut world, client, "get a k list b c"), trouble);
        assert_eq!(say(&mut world, client, "incr list 1"), trouble);
        assert_eq!(say(&mut world, client, "append list 0 0 1|x"), trouble);
        assert_eq!(say(&mut world, client, "mg list v"), trouble);
        assert_eq!(say(&mut world, client, "delete list"), "DELETED|");
        assert_eq!(world.say(redis, "EXISTS list"), "0");
        for named in ["MEMCACHED GET k", "memcached", "memcached|get k", "COMMAND INFO memcached"] {
            let reply = world.say(redis, named);
            assert!(reply.contains("unknown command") || reply.is_empty(), "{named}: {reply}");
        }
        assert_eq!(say(&mut world, client, "flush_all"), "OK|");
        assert_eq!(world.say(redis, "DBSIZE"), "0");
        assert_eq!(world.unfinished(), Vec::<String>::new());
    }
}

#[test]
fn items_end_when_they_were_told_to() {
    for cores in [1, 3] {
        let mut world = World::new(cores);
        let client = world.connect_memcached(0);
        say(&mut world, client, "set a 0 1 1|x|set b 0 -1 1|x|set c 0 0 1|x");
        assert_eq!(say(&mut world, client, "get a b c"), "VALUE a 0 1|x|VALUE c 0 1|x|END|");
        assert_eq!(say(&mut world, client, "touch c 2"), "TOUCHED|");
        world.pass(1_000);
        assert_eq!(say(&mut world, client, "get a b c"), "VALUE c 0 1|x|END|");
        assert_eq!(say(&mut world, client, "gat 0 c"), "VALUE c 0 1|x|END|");
        world.pass(5_000);
        assert_eq!(say(&mut world, client, "mg c t"), "HD t-1|");
        assert_eq!(say(&mut world, client, "flush_all 2"), "OK|");
        world.pass(1_000);
        assert_eq!(say(&mut world, client, "get c"), "VALUE c 0 1|x|END|");
        world.pass(1_000);
        assert_eq!(say(&mut world, client, "get c"), "END|");
        assert_eq!(world.unfinished(), Vec::<String>::new());
    }
}

#[test]
fn meta_commands_answer_what_their_flags_ask() {
    check(&[
        ("mg a v", "EN|"),
        ("mg a v q|mn", "MN|"),
        ("ms a 2 T60 F5|ab", "HD|"),
        ("mg a s v t f h", "VA 2 s2 t60 f5 h0|ab|"),
        ("mg a h k Oxyz", "HD h1 ka Oxyz|"),
        ("ms a 2 q|cd|mg a v", "VA 2|cd|"),
        ("ms a 1 ME|x", "NS|"),
        ("ms a 1 MA|x|mg a v", "HD|VA 3|cdx|"),
        ("ms Zm9v 3 b k|bar", "HD kZm9v b|"),
        ("get foo", "VALUE foo 0 3|bar|END|"),
        ("mg Zm9v b k v", "VA 3 kZm9v b|bar|"),
        ("md foo k", "HD kfoo|"),
        ("md foo", "NF|"),
        ("ma n", "NF|"),
        ("ma n N0 J13 v", "VA 2|13|"),
        ("ma n v D7", "VA 2|20|"),
        ("ma n v MD", "VA 2|19|"),
        ("ma a", "CLIENT_ERROR cannot increment or decrement non-numeric value|"),
        ("ms a S100 !|x", "CLIENT_ERROR bad command line format|ERROR|"),
        ("ms a 1 X|x|mn", "CLIENT_ERROR invalid flag|MN|"),
    ]);
}

#[test]
fn one_client_is_told_to_renew_what_is_missing_or_out_of_date() {
    let mut world = World::new(1);
    let client = world.connect_memcached(0);
    assert_eq!(say(&mut world, client, "mg k v N30 t"), "VA 0 t30 W||");
    assert_eq!(say(&mut world, client, "mg k v N30 t"), "VA 0 t30 Z||");
    assert_eq!(say(&mut world, client, "ms k 1 T30|x"), "HD|");
    assert_eq!(say(&mut world, client, "mg k v t R30"), "VA 1 t30|x|");
    assert_eq!(say(&mut world, client, "mg k v t R31"), "VA 1 t30 W|x|");
    assert_eq!(say(&mut world, client, "mg k v t R31"), "VA 1 t30 Z|x|");
    say(&mut world, client, "ms k 1|x");
    let before = say(&mut world, client, "mg k c");
    let before = before.trim_start_matches("HD c").trim_end_matches('|').to_string();
    assert_eq!(say(&mut world, client, "md k I T30"), "HD|");
    assert_eq!(say(&mut world, client, "mg k v t"), "VA 1 t30 X W|x|");
    assert_eq!(say(&mut world, client, "mg k v t"), "VA 1 t30 Z X|x|");
    assert_eq!(say(&mut world, client, &format!("ms k 1 C{before}|y")), "EX|");
    assert_eq!(say(&mut world, client, &format!("ms k 1 I C{before}|y")), "HD|");
    assert_eq!(say(&mut world, client, "mg k v"), "VA 1 Z X|y|");
    assert_eq!(say(&mut world, client, "ms k 1|z|mg k v"), "HD|VA 1|z|");
}

/// What a client waits for: an answer about this key, and with the value and the stamp that it has seen, if it compares.
type Asked = Option<(usize, Option<(u64, u64)>)>;

/// Clients on three cores add one to the same numbers by looking and comparing, one by INCR, in an order of chance. Whoever is
/// told that its value was stored has added one, nobody else has, and no state is changed twice.
#[test]
fn comparing_and_storing_is_linearizable() {
    const KEYS: usize = 3;
    let mut refused = 0;
    for seed in 0..60 {
        let mut world = World::new(3);
        world.shuffle(seed);
        let clients: Vec<Client> = (0..6).map(|n| world.connect_memcached(n % 3)).collect();
        let redis = world.connect(1);
        for key in 0..KEYS {
            world.send(clients[0], format!("set k{key} 7 0 1\r\n0\r\n").as_bytes());
        }
        world.receive(clients[0]);
        let mut asked: Vec<Asked> = vec![None; clients.len()];
        let (mut added, mut won) = ([0; KEYS], std::collections::BTreeSet::new());
        for round in 0..400 {
            let who = world.choose(clients.len() as u64) as usize;
            let client = clients[who];
            let heard = world.receive(client);
            match (asked[who], heard.as_str()) {
                // What it waits for has not come.
                (Some(_), "") => {}
                (Some((key, Some((_, stamp)))), answer) => {
                    match answer {
                        "STORED\r\n" => {
                            assert!(won.insert((key, stamp)), "seed {seed}: one state was changed twice");
                            added[key] += 1;
                        }
                        other => {
                            assert_eq!(other, "EXISTS\r\n", "seed {seed}");
                            refused += 1;
                        }
                    }
                    asked[who] = None;
                }
                (Some((key, None)), answer) => {
                    let lines: Vec<&str> = answer.split("\r\n").collect();
                    let value: u64 = lines[1].trim_end().parse().expect("a number");
                    let seen = stamp(lines[0]);
                    asked[who] = Some((key, Some((value, seen))));
                    let next = (value + 1).to_string();
                    let line = format!("cas k{key} 7 0 {} {seen}\r\n{next}\r\n", next.len());
                    let steps = world.choose(4);
                    world.send_and_step(client, line.as_bytes(), steps);
                }
                (None, _) => {
                    let (key, steps) = (world.choose(KEYS as u64) as usize, world.choose(4));
                    asked[who] = Some((key, None));
                    world.send_and_step(client, format!("gets k{key}\r\n").as_bytes(), steps);
                }
            }
            if round % 40 == 0 {
                let (key, steps) = (world.choose(KEYS as u64) as usize, world.choose(3));
                added[key] += 1;
                world.send_and_step(redis, format!("INCR k{key}\r\n").as_bytes(), steps);
            }
        }
        world.rest();
        for (who, client) in clients.iter().enumerate() {
            if let (Some((key, Some(_))), answer) = (asked[who], world.receive(*client)) {
                added[key] += u64::from(answer == "STORED\r\n");
            }
        }
        for (key, added) in added.into_iter().enumerate() {
            assert_eq!(
                world.say(redis, &format!("GET k{key}")).lines().last(),
                Some(added.to_string().as_str()),
                "seed {seed}, k{key}"
            );
        }
        assert_eq!(world.unfinished(), Vec::<String>::new());
    }
    assert!(refused > 60, "clients get in each other's way: {refused}");
}

#[test]
fn a_password_is_asked_for_in_the_first_value() {
    let mut world = World::with(1, |settings| settings.requirepass = "secret".into());
    let client = world.connect_memcached(0);
    assert_eq!(say(&mut world, client, "get k"), "CLIENT_ERROR unauthenticated|");
    assert_eq!(say(&mut world, client, "set x 0 0 13|default wrong"), "CLIENT_ERROR authentication failure|");
    assert_eq!(say(&mut world, client, "set x 0 0 3|abc"), "CLIENT_ERROR bad authentication token format|");
    assert_eq!(say(&mut world, client, "set x 0 0 14|default secret"), "STORED|");
    assert_eq!(say(&mut world, client, "get x"), "END|");
}

#[test]
fn memory_that_is_full_is_an_error_of_the_protocol() {
    let mut world = World::with(1, |settings| settings.maxmemory = 1);
    let client = world.connect_memcached(0);
    assert_eq!(say(&mut world, client, "set k 0 0 1|x"), "SERVER_ERROR out of memory storing object|");
    assert_eq!(say(&mut world, client, "get k"), "END|");
}

#[test]
fn large_values_come_and_go_and_too_large_ones_are_refused() {
    let mut world = World::new(3);
    let client = world.connect_memcached(0);
    let value = "v".repeat(300_000);
    assert_eq!(say(&mut world, client, &format!("set k 7 0 300000|{value}")), "STORED|");
    assert_eq!(say(&mut world, client, "get k"), format!("VALUE k 7 300000|{value}|END|"));
    let value = "v".repeat(1_100_000);
    let refused = "SERVER_ERROR object too large for cache|";
    assert_eq!(say(&mut world, client, &format!("set k 7 0 1100000|{value}")), refused);
    assert_eq!(say(&mut world, client, "get k"), "END|", "what it was to replace is gone");
    assert_eq!(say(&mut world, client, "mn"), "MN|");
}

/// A request of the binary protocol.
fn binary(opcode: u8, extras: &[u8], key: &str, value: &str, cas: u64) -> Vec<u8> {
    let body = (extras.len() + key.len() + value.len()) as u32;
    let mut request = vec![0x80, opcode];
    request.extend_from_slice(&(key.len() as u16).to_be_bytes());
    request.extend_from_slice(&[extras.len() as u8, 0, 0, 0]);
    request.extend_from_slice(&body.to_be_bytes());
    request.extend_from_slice(b"opaq");
    request.extend_from_slice(&cas.to_be_bytes());
    [&request, extras, key.as_bytes(), value.as_bytes()].concat()
}

/// Opcode, status, stamp and body of each answer.
fn answers(mut bytes: &[u8]) -> Vec<(u8, u16, u64, Vec<u8>)> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        assert_eq!((bytes[0], &bytes[12..16]), (0x81, &b"opaq"[..]));
        let body = u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize;
        let mut cas = [0; 8];
        cas.copy_from_slice(&bytes[16..24]);
        let status = u16::from_be_bytes([bytes[6], bytes[7]]);
        all.push((bytes[1], status, u64::from_be_bytes(cas), bytes[24..24 + body].to_vec()));
        bytes = &bytes[24 + body..];
    }
    all
}

#[test]
fn the_binary_protocol_is_spoken_on_the_same_port() {
    for cores in [1, 3] {
        let mut world = World::new(cores);
        let client = world.connect_memcached(0);
        let mut ask = |request: Vec<u8>| {
            for byte in request {
                world.send(client, &[byte]);
            }
            answers(&world.receive_bytes(client))
        };
        let set = ask(binary(0x01, &[0, 0, 0, 5, 0, 0, 0, 0], "k", "value", 0));
        assert_eq!((set.len(), set[0].0, set[0].1), (1, 1, 0));
        let stamp = set[0].2;
        assert_ne!(stamp, 0);
        assert_eq!(ask(binary(0x00, &[], "k", "", 0)), [(0, 0, stamp, b"\0\0\0\x05value".to_vec())]);
        assert_eq!(ask(binary(0x0c, &[], "k", "", 0)), [(0x0c, 0, stamp, b"\0\0\0\x05kvalue".to_vec())]);
        assert_eq!(ask(binary(0x00, &[], "nosuch", "", 0)), [(0, 1, 0, b"Not found".to_vec())]);
        assert_eq!(ask(binary(0x09, &[], "nosuch", "", 0)), [], "a quiet miss");
        assert_eq!(ask(binary(0x01, &[0; 8], "k", "x", stamp + 1_000_000))[0].1, 2);
        assert_eq!(ask(binary(0x11, &[0; 8], "k", "y", stamp)), [], "a quiet set");
        assert_eq!(ask(binary(0x02, &[0; 8], "k", "x", 0))[0].1, 2);
        assert_eq!(ask(binary(0x03, &[0; 8], "nosuch", "x", 0))[0].1, 1);
        assert_eq!(ask(binary(0x0e, &[], "k", "z", 0))[0].1, 0);
        assert_eq!(ask(binary(0x00, &[], "k", "", 0))[0].3, b"\0\0\0\0yz");
        let mut extras = [0; 20];
        (extras[7], extras[15]) = (3, 9);
        assert_eq!(ask(binary(0x05, &extras, "n", "", 0))[0].3, 9u64.to_be_bytes());
        assert_eq!(ask(binary(0x05, &extras, "n", "", 0))[0].3, 12u64.to_be_bytes());
        assert_eq!(ask(binary(0x06, &extras, "k", "", 0))[0].1, 6);
        extras[16..].fill(0xff);
        assert_eq!(ask(binary(0x05, &extras, "nosuch", "", 0))[0].1, 1);
        assert_eq!(ask(binary(0x04, &[], "k", "", 0)), [(4, 0, 0, Vec::new())]);
        assert_eq!(ask(binary(0x0b, &[], "", "", 0))[0].3, b"1.6.18");
        assert!(ask(binary(0x10, &[], "", "", 0)).len() > 50);
        assert_eq!(ask(binary(0x08, &[], "", "", 0)), [(8, 0, 0, Vec::new())]);
        assert_eq!(ask(binary(0x77, &[], "", "abc", 0)), [(0x77, 0x81, 0, b"Unknown command".to_vec())]);
        assert_eq!(ask(binary(0x0a, &[], "", "", 0)), [(0x0a, 0, 0, Vec::new())]);
        assert_eq!(ask(binary(0x07, &[], "", "", 0)), [(0x07, 0, 0, Vec::new())]);
        assert!(!world.is_open(client));
    }
}

#[test]
fn statistics_are_those_of_all_cores() {
    let mut world = World::new(3);
    let client = world.connect_memcached(1);
    say(&mut world, client, "set a 0 0 1|x|set b 0 0 1|x|get a b c d|incr a 1|delete a");
    let stats = say(&mut world, client, "stats");
    for line in
        ["cmd_get 4", "cmd_set 2", "get_hits 2", "get_misses 2", "delete_hits 1", "curr_items 1", "threads 3"]
    {
        assert!(stats.contains(&format!("STAT {line}|")), "{line} in {stats}");
    }
    assert!(stats.ends_with("END|"));
    assert_eq!(say(&mut world, client, "stats detail on"), "OK|");
    say(&mut world, client, "set p:1 0 0 1|x|get p:1 p:2|delete p:1");
    assert_eq!(say(&mut world, client, "stats detail dump"), "PREFIX p get 2 hit 1 set 1 del 1|END|");
    assert_eq!(say(&mut world, client, "stats reset"), "RESET|");
    assert!(say(&mut world, client, "stats").contains("STAT cmd_get 0|"));
    assert!(say(&mut world, client, "stats settings").contains("STAT item_size_max 1048576|"));
    assert_eq!(say(&mut world, client, "stats nosuch"), "ERROR|");
}

#[test]
fn a_watcher_hears_what_all_cores_do_with_items() {
    for cores in [1, 3] {
        let mut world = World::new(cores);
        let (watcher, client) = (world.connect_memcached(0), world.connect_memcached(cores - 1));
        assert_eq!(say(&mut world, watcher, "watch nosuch"), "ERROR|");
        assert_eq!(say(&mut world, watcher, "watch nosuch noreply"), "");
        assert_eq!(say(&mut world, watcher, "watch fetchers mutations"), "OK|");
        for request in
            ["get a", "set a% 5 100 3|abc", "get a% b", "append a% 0 0 1|d", "incr n 1", "cas c 0 0 1 9|x"]
        {
            say(&mut world, client, request);
        }
        let heard = world.receive(watcher);
        let mut lines: Vec<&str> =
            heard.lines().filter_map(|line| line.split_once(" type=")).map(|line| line.1).collect();
        let mut expected = vec![
            "item_get key=a status=not_found clsid=0 cfd=# size=0",
            "item_get key=a%25 status=not_found clsid=0 cfd=# size=0",
            "item_store key=a%25 status=stored cmd=set ttl=100 clsid=1 cfd=# size=3",
            "item_get key=a%25 status=found clsid=1 cfd=# size=3",
            "item_get key=b status=not_found clsid=0 cfd=# size=0",
            "item_get key=a%25 status=found clsid=1 cfd=# size=3",
            "item_store key=a%25 status=stored cmd=append ttl=0 clsid=1 cfd=# size=4",
            "item_get key=n status=not_found clsid=0 cfd=# size=0",
            "item_get key=c status=not_found clsid=0 cfd=# size=0",
            "item_store key=c status=not_found cmd=cas ttl=0 clsid=1 cfd=# size=1",
        ];
        let conns = say(&mut world, client, "stats conns");
        let ours = heard.split("cfd=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        assert!(conns.contains(&format!("STAT {ours}:state")), "{conns}");
        let told: Vec<String> =
            lines.drain(..).map(|line| line.replace(&format!("cfd={ours} "), "cfd=# ")).collect();
        let mut told: Vec<&str> = told.iter().map(String::as_str).collect();
        // Each shard's lines have an order, those of several have none.
        told.sort_unstable();
        expected.sort_unstable();
        assert_eq!(told, expected, "on {cores} cores");
        assert_eq!(say(&mut world, watcher, "get a"), "", "who watches is not answered");
        assert!(say(&mut world, client, "stats").contains("STAT log_watchers 1|"));
        world.hang_up(watcher);
        assert!(say(&mut world, client, "stats").contains("STAT log_watchers 0|"));
        assert!(world.engines.iter().all(|engine| engine.node().feed.topics().is_empty()));
        assert_eq!(world.unfinished(), Vec::<String>::new());
    }
}

#[test]
fn a_watcher_hears_who_comes_and_goes_and_what_is_evicted() {
    let mut world = World::new(2);
    let (watcher, other) = (world.connect_memcached(0), world.connect(0));
    assert_eq!(say(&mut world, watcher, "watch connevents evictions"), "OK|");
    let client = world.connect_memcached(1);
    say(&mut world, client, "quit");
    let heard = world.receive(watcher);
    assert!(heard.contains("type=conn_new rip=127.0.0.1 rport="), "{heard}");
    assert!(heard.contains("transport=tcp reason=normal cfd="), "{heard}");
    let client = world.connect_memcached(1);
    say(&mut world, client, "GET / HTTP/1.1");
    assert!(world.receive(watcher).contains("reason=error"));
    assert_eq!(world.say(other, "CONFIG SET maxmemory 2mb maxmemory-policy allkeys-lru"), "OK");
    let client = world.connect_memcached(1);
    let value = "x".repeat(10_000);
    let mut heard = String::new();
    for n in 0..400 {
        say(&mut world, client, &format!("set key{n} 0 0 10000|{value}"));
        heard += &world.receive(watcher);
    }
    assert!(heard.contains("type=eviction key=key"), "{heard}");
    assert!(heard.contains(" fetch=no ttl=-1 la=0 clsid=1 size=10000\n"), "{heard}");
}

#[test]
fn a_watcher_that_does_not_read_loses_lines_and_hears_how_many() {
    let mut world = World::new(2);
    let (watcher, client) = (world.connect_memcached(0), world.connect_memcached(1));
    assert_eq!(say(&mut world, watcher, "watch"), "OK|");
    let keys: Vec<String> = (0..100).map(|n| format!("key{n}-{}", "x".repeat(200))).collect();
    world.stall(watcher, true);
    for _ in 0..20 {
        say(&mut world, client, &format!("get {}", keys.join(" ")));
    }
    world.stall(watcher, false);
    let taken = world.receive(watcher);
    assert!(
        taken.len() <= crate::limits::WATCHER_OUTPUT_MAX + 1_000 && !taken.contains("skipped="),
        "{}",
        taken.len()
    );
    say(&mut world, client, "get a");
    let heard = world.receive(watcher);
    let lines = taken.matches("type=item_get").count();
    assert!(heard.starts_with(&format!("skipped={}\n", 2_000 - lines)), "{heard} {lines}");
    let stats = say(&mut world, client, "stats");
    assert!(stats.contains(&format!("STAT log_watcher_skipped {}|", 2_000 - lines)), "{stats}");
}

#[test]
fn a_dump_tells_every_item_of_all_cores_once() {
    for cores in [1, 3] {
        let mut world = World::new(cores);
        let (client, other) = (world.connect_memcached(0), world.connect(0));
        assert_eq!(say(&mut world, client, "lru_crawler metadump all"), "END|");
        for n in 0..3_000 {
            say(&mut world, client, &format!("set key{n} 0 0 1 noreply|x"));
        }
        world.call(other, "RPUSH list a");
        say(&mut world, client, "set t 0 100 2|ab|gets t");
        for which in ["all", "hash", "1", "2,1"] {
            let dump = say(&mut world, client, &format!("lru_crawler metadump {which}"));
            let mut keys: Vec<&str> =
                dump.lines().filter_map(|line| line.split_once(' ')).map(|line| line.0).collect();
            keys.sort_unstable();
            keys.dedup();
            assert_eq!((keys.len(), dump.lines().count()), (3_001, 3_002), "{which} on {cores} cores");
            assert!(dump.ends_with("\nEND|"), "{dump}");
            let timed = dump.lines().find(|line| line.starts_with("key=t ")).expect("it is there");
            assert!(timed.starts_with("key=t exp=1700000100 la=1700000000 cas="), "{timed}");
            assert!(timed.contains(" fetch=yes cls=1 size=") && !timed.contains("cas=0"), "{timed}");
        }
        assert_eq!(say(&mut world, client, "lru_crawler metadump 2"), "END|");
        assert_eq!(say(&mut world, client, "lru_crawler metadump 0"), "BADCLASS invalid class id|");
        let dump = say(&mut world, client, "lru_crawler mgdump all");
        assert_eq!((dump.matches("mg ").count(), dump.ends_with("|EN|")), (3_001, true));
        assert_eq!(world.unfinished(), Vec::<String>::new());
    }
}

#[test]
fn a_dump_waits_for_its_reader_and_what_follows_waits_for_the_dump() {
    for cores in [1, 2] {
        let mut world = World::new(cores);
        let client = world.connect_memcached(0);
        for n in 0..20_000 {
            say(&mut world, client, &format!("set key{n} 0 0 1 noreply|x"));
        }
        world.stall(client, true);
        say(&mut world, client, "lru_crawler metadump all|get key1");
        let held: usize = world.engines.iter().map(|engine| engine.node().client_bytes).sum();
        assert!(held < 2 * crate::limits::CRAWL_OUTPUT_MAX, "{held} bytes on {cores} cores");
        world.stall(client, false);
        let dump = world.receive(client).replace("\r\n", "|");
        assert_eq!(dump.matches("key=key").count(), 20_000, "on {cores} cores");
        assert!(dump.ends_with("\nEND|VALUE key1 0 1|x|END|"), "what follows comes behind it");
        world.hang_up(client);
        assert_eq!(world.unfinished(), Vec::<String>::new());
    }
}

#[test]
fn the_crawler_is_switched_for_all_cores() {
    check(&[
        ("lru_crawler enable", "ERROR failed to start lru crawler thread|"),
        ("lru_crawler disable", "OK|"),
        ("lru_crawler disable", "OK|"),
        ("lru_crawler crawl all", "CLIENT_ERROR lru crawler disabled|"),
        ("lru_crawler metadump all", "CLIENT_ERROR lru crawler disabled|"),
        ("lru_crawler enable", "OK|"),
        ("lru_crawler crawl 1,2", "OK|"),
        ("lru_crawler crawl 64", "BADCLASS invalid class id|"),
        ("lru_crawler crawl", "ERROR|"),
        ("lru_crawler sleep 1000001", "CLIENT_ERROR sleep must be one second or less|"),
        ("lru_crawler tocrawl x", "CLIENT_ERROR bad command line format|"),
        ("mg nosuch v|lru_crawler metadump all", "EN|ERROR cannot pipeline other commands before metadump|"),
    ]);
}
