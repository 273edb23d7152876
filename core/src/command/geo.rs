//! Places on the earth, which are members of a sorted set whose scores say where they lie: adding them, and asking for single ones.

use super::row::{Command, Example, Flags, Group, Keys, Run, Touch};
use super::zset::{Adding, add_pairs, reply_added};
use crate::args::Args;
use crate::geohash::Place;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::Cx;
use crate::value::zset::SortedSet;

const ROW: Command = Command {
    group: Group::Geo,
    keys: Keys::ONE,
    flags: Flags::READONLY,
    arity: -2,
    since: "3.2.0",
    ..Command::DEFAULT
};

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "geoadd",
        arity: -5,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        touch: Touch::Change,
        summary: "Adds one or more members to a geospatial index. The key is created if it doesn't exist.",
        complexity: "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
        syntax: "key [NX | XX] [CH] longitude:double latitude:double member [longitude:double latitude:double member ...]",
        examples: &[
            Example {
                call: "GEOADD Sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
                reply: "2",
            },
            Example { call: "GEODIST Sicily Palermo Catania", reply: "166274.1516" },
        ],
        run: Run::Hop(add),
        ..ROW
    },
    Command {
        name: "geodist",
        arity: -4,
        summary: "Returns the distance between two members of a geospatial index.",
        syntax: "key member1 member2 [M | KM | FT | MI]",
        examples: &[
            Example {
                call: "GEOADD Sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
                reply: "2",
            },
            Example { call: "GEODIST Sicily Palermo Catania km", reply: "166.2742" },
            Example { call: "GEODIST Sicily Palermo Rome", reply: "" },
        ],
        run: Run::Hop(distance),
        ..ROW
    },
    Command {
        name: "geohash",
        summary: "Returns members from a geospatial index as geohash strings.",
        complexity: "O(1) for each member requested.",
        syntax: "key [member [member ...]]",
        examples: &[
            Example { call: "GEOADD Sicily 13.361389 38.115556 Palermo", reply: "1" },
            Example { call: "GEOHASH Sicily Palermo", reply: "sqc8b49rny0" },
        ],
        run: Run::Hop(hash),
        ..ROW
    },
    Command {
        name: "geopos",
        summary: "Returns the longitude and latitude of members from a geospatial index.",
        complexity: "O(1) for each member requested.",
        syntax: "key [member [member ...]]",
        examples: &[
            Example { call: "GEOADD Sicily 13.361389 38.115556 Palermo", reply: "1" },
            Example { call: "GEOPOS Sicily Palermo", reply: "13.36138933897018433\n38.11555639549629859" },
        ],
        run: Run::Hop(positions),
        ..ROW
    },
];

/// Metres of a unit.
pub(super) fn unit(word: &[u8]) -> Result<f64, Failure> {
    match () {
        () if word.eq_ignore_ascii_case(b"m") => Ok(1.0),
        () if word.eq_ignore_ascii_case(b"km") => Ok(1_000.0),
        () if word.eq_ignore_ascii_case(b"ft") => Ok(0.3048),
        () if word.eq_ignore_ascii_case(b"mi") => Ok(1_609.34),
        () => Err(Failure::new("ERR unsupported unit provided. please use M, KM, FT, MI")),
    }
}

/// Longitude and latitude.
pub(super) fn place(longitude: &[u8], latitude: &[u8]) -> Result<Place, Failure> {
    let (longitude, latitude) = (super::parse::score(longitude)?, super::parse::score(latitude)?);
    Place::new(longitude, latitude).ok_or_else(|| {
        Failure::text(format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"))
    })
}

/// Four digits behind the point.
pub(super) fn reply_distance(distance: f64, reply: &mut Reply<'_>) {
    reply.text(&format!("{distance:.4}"));
}

/// Longitude and latitude, up to seventeen digits behind the point.
pub(super) fn reply_place(place: Place, reply: &mut Reply<'_>) {
    reply.array(2);
    for degrees in [place.longitude, place.latitude] {
        let digits = format!("{degrees:.17}");
        let digits = digits.trim_end_matches('0').trim_end_matches('.');
        reply.decimal(if digits == "-0" { "0" } else { digits });
    }
}

fn add(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut adding = Adding::default();
    let mut at = 2;
    while at < args.len() {
        let option = match () {
            () if args.is(at, "nx") => &mut adding.only_new,
            () if args.is(at, "xx") => &mut adding.only_old,
            () if args.is(at, "ch") => &mut adding.counts_changed,
            () => break,
        };
        *option = true;
        at += 1;
    }
    if !(args.len() - at).is_multiple_of(3) || adding.only_new && adding.only_old {
        return Err(Failure::SYNTAX);
    }
    let scores: Result<Vec<f64>, Failure> =
        (at..args.len()).step_by(3).map(|n| place(args.at(n), args.at(n + 1)).map(Place::score)).collect();
    let scores = scores?;
    if scores.is_empty() {
        return Err(Failure::SYNTAX);
    }
    let pairs = scores.iter().enumerate().map(|(n, score)| (*score, at + 3 * n + 2));
    let sum = add_pairs(cx, args, adding, pairs)?;
    reply_added(adding, &sum, reply);
    Ok(())
}

fn distance(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let metres = match args.len() {
        4 => 1.0,
        5 => unit(args.at(4))?,
        _ => return Err(Failure::SYNTAX),
    };
    let set = cx.read_held::<SortedSet>(cx.key(args, 0))?;
    let place = |n: usize| set.and_then(|set| set.score(args.at(n))).map(Place::of_score);
    match place(2).zip(place(3)) {
        Some((one, other)) => reply_distance(one.distance(other) / metres, reply),
        None => reply.null(),
    }
    Ok(())
}

fn hash(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let set = cx.read_held::<SortedSet>(cx.key(args, 0))?;
    let members = args.skip(2);
    reply.array(members.len());
    for member in members.iter() {
        match set.and_then(|set| set.score(member)) {
            Some(score) => reply.bulk(&Place::of_score(score).text()),
            None => reply.null(),
        }
    }
    Ok(())
}

fn positions(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let set = cx.read_held::<SortedSet>(cx.key(args, 0))?;
    let members = args.skip(2);
    reply.array(members.len());
    for member in members.iter() {
        match set.and_then(|set| set.score(member)) {
            Some(score) => reply_place(Place::of_score(score), reply),
            None => reply.null_array(),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[test]
    fn places_are_added_and_found() {
        let mut world = World::new(3);
        let client = world.connect(0);
        for (call, reply) in [
            ("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", "2"),
            ("GEOADD g NX CH 1 1 Palermo", "0"),
            ("GEOADD g XX CH 13.5 38 Palermo 1 1 Rome", "1"),
            ("GEOADD g CH 13.361389 38.115556 Palermo", "1"),
            ("GEOADD g NX XX 1 1 a", "ERR syntax error"),
            ("GEOADD g 1 1", "ERR wrong number of arguments for 'geoadd' command"),
            ("GEOADD g 1 1 a 2", "ERR syntax error"),
            ("GEOADD g x 1 a", "ERR value is not a valid float"),
            ("GEOADD g 200 1 a", "ERR invalid longitude,latitude pair 200.000000,1.000000"),
            ("GEOADD g 1 86 a", "ERR invalid longitude,latitude pair 1.000000,86.000000"),
            ("ZSCORE g Palermo", "3479099956230698"),
            ("GEOHASH g Palermo x Catania", "sqc8b49rny0  sqdtr74hyu0"),
            ("GEOHASH g", ""),
            ("GEOPOS g Catania", "15.08726745843887329 37.50266842333162032"),
            ("GEODIST g Palermo Catania", "166274.1516"),
            ("GEODIST g Palermo Catania mi", "103.3182"),
            ("GEODIST g Palermo Palermo", "0.0000"),
            ("GEODIST g Palermo Catania yd", "ERR unsupported unit provided. please use M, KM, FT, MI"),
            ("GEODIST g Palermo Catania m m", "ERR syntax error"),
            ("GEODIST nosuch a b", ""),
        ] {
            assert_eq!(world.say(client, call).replace('\n', " "), reply, "{call}");
        }
        assert_eq!(world.call(client, "GEOPOS g x"), "*1\r\n*-1\r\n");
        world.call(client, "HELLO 3");
        assert_eq!(
            world.call(client, "GEOPOS g Catania"),
            "*1\r\n*2\r\n,15.08726745843887329\r\n,37.50266842333162032\r\n"
        );
    }
}
