//! Places on the earth: all of them in a circle or a box, answered or stored as a sorted set.

use super::geo::{place, reply_distance, reply_place, unit};
use super::parse::{integer, score};
use super::row::{Command, Example, Flags, Group, Keys, Next, Plan, Run, Touch};
use super::zset_store::{TARGET, act_from, act_store, carried, next_store};
use crate::args::Args;
use crate::geohash::{Place, Shape};
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::Cx;
use crate::txn::work::{Finding, Order};
use crate::value::zset::SortedSet;

const ROW: Command = Command {
    group: Group::Geo,
    keys: Keys::ONE,
    flags: Flags::READONLY,
    since: "3.2.10",
    complexity: "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the shape provided as the \
                 filter and M is the number of items inside the shape",
    ..Command::DEFAULT
};
const RADIUS: Command = Command {
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::MOVABLE_KEYS),
    keys: Keys::FirstAndNamed { from: 5, words: &["store", "storedist"] },
    touch: Touch::Overwrite,
    since: "3.2.0",
    ..ROW
};

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "geosearch",
        arity: -7,
        since: "6.2.0",
        summary: "Queries a geospatial index for members inside an area of a box or a circle.",
        syntax: "key from:<FROMMEMBER member | FROMLONLAT longitude:double latitude:double> by:<BYRADIUS radius:double \
                 unit:<M | KM | FT | MI> | BYBOX width:double height:double unit:<M | KM | FT | MI>> [ASC | DESC] \
                 [COUNT count:integer [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
        examples: &[
            Example {
                call: "GEOADD Sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
                reply: "2",
            },
            Example {
                call: "GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 200 km ASC",
                reply: "Catania\nPalermo",
            },
            Example {
                call: "GEOSEARCH Sicily FROMMEMBER Catania BYBOX 400 400 km DESC COUNT 1 WITHDIST",
                reply: "Palermo\n166.2742",
            },
        ],
        run: Run::Hop(|cx, args, reply| search(cx, args, Form::Search, reply)),
        ..ROW
    },
    Command {
        name: "geosearchstore",
        arity: -8,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        keys: Keys::TWO,
        touch: Touch::Overwrite,
        since: "6.2.0",
        summary: "Queries a geospatial index for members inside an area of a box or a circle, optionally stores the result.",
        syntax: "destination:key source:key from:<FROMMEMBER member | FROMLONLAT longitude:double latitude:double> \
                 by:<BYRADIUS radius:double unit:<M | KM | FT | MI> | BYBOX width:double height:double unit:<M | KM | FT | MI>> \
                 [ASC | DESC] [COUNT count:integer [ANY]] [STOREDIST]",
        examples: &[
            Example {
                call: "GEOADD {g}1 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
                reply: "2",
            },
            Example {
                call: "GEOSEARCHSTORE {g}2 {g}1 FROMLONLAT 15 37 BYRADIUS 100 km STOREDIST",
                reply: "1",
            },
            Example { call: "ZRANGE {g}2 0 -1", reply: "Catania" },
        ],
        run: Run::Plan(&SEARCHSTORE),
        ..ROW
    },
    Command {
        name: "georadius",
        arity: -6,
        summary: "Queries a geospatial index for members within a distance from a coordinate, optionally stores the result.",
        syntax: "key longitude:double latitude:double radius:double unit:<M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
                 [COUNT count:integer [ANY]] [ASC | DESC] [STORE key | STOREDIST key]",
        examples: &[
            Example {
                call: "GEOADD Sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
                reply: "2",
            },
            Example {
                call: "GEORADIUS Sicily 15 37 200 km WITHDIST ASC",
                reply: "Catania\n56.4413\nPalermo\n190.4424",
            },
        ],
        run: Run::Plan(&RADIUS_OF_PLACE),
        ..RADIUS
    },
    Command {
        name: "georadiusbymember",
        arity: -5,
        summary: "Queries a geospatial index for members within a distance from a member, optionally stores the result.",
        syntax: "key member radius:double unit:<M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count:integer [ANY]] \
                 [ASC | DESC] [STORE key | STOREDIST key]",
        examples: &[
            Example { call: "GEOADD Sicily 13.361389 38.115556 Palermo", reply: "1" },
            Example { call: "GEORADIUSBYMEMBER Sicily Palermo 100 km", reply: "Palermo" },
        ],
        run: Run::Plan(&RADIUS_OF_MEMBER),
        ..RADIUS
    },
    Command {
        name: "georadius_ro",
        arity: -6,
        summary: "Returns members from a geospatial index that are within a distance from a coordinate.",
        syntax: "key longitude:double latitude:double radius:double unit:<M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
                 [COUNT count:integer [ANY]] [ASC | DESC]",
        examples: &[
            Example { call: "GEOADD Sicily 13.361389 38.115556 Palermo", reply: "1" },
            Example { call: "GEORADIUS_RO Sicily 13 38 100 km", reply: "Palermo" },
        ],
        run: Run::Hop(|cx, args, reply| search(cx, args, Form::Place { stores: false }, reply)),
        ..ROW
    },
    Command {
        name: "georadiusbymember_ro",
        arity: -5,
        summary: "Returns members from a geospatial index that are within a distance from a member.",
        syntax: "key member radius:double unit:<M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count:integer [ANY]] \
                 [ASC | DESC]",
        examples: &[
            Example { call: "GEOADD Sicily 13.361389 38.115556 Palermo", reply: "1" },
            Example { call: "GEORADIUSBYMEMBER_RO Sicily Palermo 100 km", reply: "Palermo" },
        ],
        run: Run::Hop(|cx, args, reply| search(cx, args, Form::Member { stores: false }, reply)),
        ..ROW
    },
];

const SEARCHSTORE: Plan = Plan {
    check: |args, _| Query::parse(args, Form::SearchStore).map(drop),
    reads: |n| n == 1,
    act: |cx, args, order| act_from(cx, args, order, &|set, args| made(set, args, Form::SearchStore)),
    next: |_, _, findings, reply| next_store(findings, reply, TARGET),
};

const RADIUS_OF_PLACE: Plan = Plan {
    check: |args, _| Query::parse(args, Form::Place { stores: true }).map(drop),
    reads: |n| n == 0,
    act: |cx, args, order| act_radius(cx, args, order, Form::Place { stores: true }),
    next: |args, _, findings, reply| next_radius(args, findings, reply, Form::Place { stores: true }),
};

const RADIUS_OF_MEMBER: Plan = Plan {
    check: |args, _| Query::parse(args, Form::Member { stores: true }).map(drop),
    reads: |n| n == 0,
    act: |cx, args, order| act_radius(cx, args, order, Form::Member { stores: true }),
    next: |args, _, findings, reply| next_radius(args, findings, reply, Form::Member { stores: true }),
};

/// How the words of a command stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// GEOSEARCH and GEOSEARCHSTORE.
    Search,
    SearchStore,
    /// GEORADIUS.
    Place {
        stores: bool,
    },
    /// GEORADIUSBYMEMBER.
    Member {
        stores: bool,
    },
}

#[derive(Clone, Copy, Debug)]
enum Centre<'a> {
    Place(Place),
    Member(&'a [u8]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    None,
    Ascending,
    Descending,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
struct Query<'a> {
    centre: Centre<'a>,
    shape: Shape,
    /// Metres of the unit.
    unit: f64,
    /// Not more than these; 0: all.
    count: usize,
    /// The first found will do.
    any: bool,
    sort: Sort,
    with_distance: bool,
    with_hash: bool,
    with_place: bool,
    /// Where to store the result.
    target: Option<usize>,
    stores_distance: bool,
}

/// A length that is not negative.
fn length(word: &[u8], what: &'static str, negative: &'static str) -> Result<f64, Failure> {
    let length = score(word).map_err(|_| Failure::new(what))?;
    if length < 0.0 { Err(Failure::new(negative)) } else { Ok(length) }
}

fn radius(word: &[u8], unit: f64) -> Result<Shape, Failure> {
    let radius = length(word, "ERR need numeric radius", "ERR radius cannot be negative")?;
    Ok(Shape::Circle { radius: radius * unit })
}

/// Length first, then unit: in this order Redis finds them wrong.
fn circle(args: Args<'_>, n: usize) -> Result<(Shape, f64), Failure> {
    radius(args.at(n), 1.0)?;
    let unit = unit(args.at(n + 1))?;
    Ok((radius(args.at(n), unit)?, unit))
}

impl<'a> Query<'a> {
    fn parse(args: Args<'a>, form: Form) -> Result<Query<'a>, Failure> {
        let (mut centre, mut shape) = (None, None);
        let first = match form {
            Form::Search => 2,
            Form::SearchStore => 3,
            Form::Place { .. } => {
                centre = Some(Centre::Place(place(args.at(2), args.at(3))?));
                shape = Some(circle(args, 4)?);
                6
            }
            Form::Member { .. } => {
                centre = Some(Centre::Member(args.at(2)));
                shape = Some(circle(args, 3)?);
                5
            }
        };
        let is_search = matches!(form, Form::Search | Form::SearchStore);
        let may_store = matches!(form, Form::Place { stores: true } | Form::Member { stores: true });
        let mut query = Query {
            centre: Centre::Member(b""),
            shape: Shape::Circle { radius: 0.0 },
            unit: 1.0,
            count: 0,
            any: false,
            sort: Sort::None,
            with_distance: false,
            with_hash: false,
            with_place: false,
            target: (form == Form::SearchStore).then_some(1),
            stores_distance: false,
        };
        let (mut by_member, mut by_place, mut by_radius, mut by_box) = (false, false, false, false);
        let mut n = first;
        while n < args.len() {
            let has = |more: usize| n + more < args.len();
            if args.is(n, "withdist") {
                query.with_distance = true;
            } else if args.is(n, "withhash") {
                query.with_hash = true;
            } else if args.is(n, "withcoord") {
                query.with_place = true;
            } else if args.is(n, "any") {
                query.any = true;
            } else if args.is(n, "asc") {
                query.sort = Sort::Ascending;
            } else if args.is(n, "desc") {
                query.sort = Sort::Descending;
            } else if args.is(n, "count") && has(1) {
                let count = integer(args.at(n + 1))?;
                if count <= 0 {
                    return Err(Failure::new("ERR COUNT must be > 0"));
                }
                query.count = count as usize;
                n += 1;
            } else if may_store && (args.is(n, "store") || args.is(n, "storedist")) && has(1) {
                query.stores_distance = args.is(n, "storedist");
                query.target = Some(n + 1);
                n += 1;
            } else if is_search && args.is(n, "frommember") && has(1) && !by_place {
                by_member = true;
                centre = Some(Centre::Member(args.at(n + 1)));
                n += 1;
            } else if is_search && args.is(n, "fromlonlat") && has(2) && !by_member {
                by_place = true;
                centre = Some(Centre::Place(place(args.at(n + 1), args.at(n + 2))?));
                n += 2;
            } else if is_search && args.is(n, "byradius") && has(2) && !by_box {
                by_radius = true;
                shape = Some(circle(args, n + 1)?);
                n += 2;
            } else if is_search && args.is(n, "bybox") && has(3) && !by_radius {
                by_box = true;
                const NEGATIVE: &str = "ERR height or width cannot be negative";
                let width = score(args.at(n + 1)).map_err(|_| Failure::new("ERR need numeric width"))?;
                let height = score(args.at(n + 2)).map_err(|_| Failure::new("ERR need numeric height"))?;
                if width < 0.0 || height < 0.0 {
                    return Err(Failure::new(NEGATIVE));
                }
                let unit = unit(args.at(n + 3))?;
                shape = Some((Shape::Box { width: width * unit, height: height * unit }, unit));
                n += 3;
            } else if form == Form::SearchStore && args.is(n, "storedist") {
                query.stores_distance = true;
            } else {
                return Err(Failure::SYNTAX);
            }
            n += 1;
        }
        if query.target.is_some() && (query.with_distance || query.with_hash || query.with_place) {
            let who = if is_search { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
            return Err(Failure::text(format!(
                "ERR {who} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )));
        }
        let name = || String::from_utf8_lossy(args.at(0)).into_owned();
        query.centre = centre.ok_or_else(|| {
            Failure::text(format!(
                "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {}",
                name()
            ))
        })?;
        (query.shape, query.unit) = shape.ok_or_else(|| {
            Failure::text(format!("ERR exactly one of BYRADIUS and BYBOX can be specified for {}", name()))
        })?;
        if query.any && query.count == 0 {
            return Err(Failure::new("ERR the ANY argument requires COUNT argument"));
        }
        // Some of many are only worth anything if they are the nearest.
        if query.count > 0 && query.sort == Sort::None && !query.any {
            query.sort = Sort::Ascending;
        }
        Ok(query)
    }

    /// All that lies there.
    fn find(&self, set: &SortedSet) -> Result<Vec<Hit>, Failure> {
        let centre = match self.centre {
            Centre::Place(place) => place,
            Centre::Member(member) => {
                let score = set.score(member);
                Place::of_score(score.ok_or(Failure::new("ERR could not decode requested zset member"))?)
            }
        };
        let enough = if self.any { self.count } else { usize::MAX };
        let mut hits = Vec::new();
        for cell in self.shape.cells(centre) {
            let (min, max) = cell.scores();
            let from = set.partition(|score, _| score < min);
            let to = set.partition(|score, _| score < max);
            for (member, score) in set.range(from, to) {
                if hits.len() >= enough {
                    break;
                }
                if let Some(distance) = self.shape.distance(centre, Place::of_score(score)) {
                    hits.push(Hit { member: member.to_vec(), score, distance });
                }
            }
        }
        match self.sort {
            Sort::None => {}
            Sort::Ascending => hits.sort_by(|a, b| a.distance.total_cmp(&b.distance)),
            Sort::Descending => hits.sort_by(|a, b| b.distance.total_cmp(&a.distance)),
        }
        if self.count > 0 {
            hits.truncate(self.count);
        }
        Ok(hits)
    }

    /// What is stored of what was found, in order.
    fn pairs(&self, hits: Vec<Hit>) -> Vec<(Vec<u8>, f64)> {
        let score = |hit: &Hit| if self.stores_distance { hit.distance / self.unit } else { hit.score };
        let mut pairs: Vec<(Vec<u8>, f64)> = hits
            .into_iter()
            .map(|hit| {
                let score = score(&hit);
                (hit.member, score)
            })
            .collect();
        SortedSet::order(&mut pairs);
        pairs
    }

    fn reply(&self, hits: &[Hit], reply: &mut Reply<'_>) {
        let more =
            usize::from(self.with_distance) + usize::from(self.with_hash) + usize::from(self.with_place);
        reply.array(hits.len());
        for hit in hits {
            if more > 0 {
                reply.array(more + 1);
            }
            reply.bulk(&hit.member);
            if self.with_distance {
                reply_distance(hit.distance / self.unit, reply);
            }
            if self.with_hash {
                reply.integer(hit.score as i64);
            }
            if self.with_place {
                reply_place(Place::of_score(hit.score), reply);
            }
        }
    }
}

/// A member that was found.
struct Hit {
    member: Vec<u8>,
    score: f64,
    /// Metres.
    distance: f64,
}

fn search(cx: &mut Cx<'_>, args: Args<'_>, form: Form, reply: &mut Reply<'_>) -> Outcome {
    let query = Query::parse(args, form)?;
    let hits = match cx.read_held::<SortedSet>(cx.key(args, 0))? {
        Some(set) => query.find(set)?,
        None => Vec::new(),
    };
    query.reply(&hits, reply);
    Ok(())
}

/// The place of the source of GEORADIUS; its target's stands among the options.
const SOURCE: u32 = 1;

/// A shard's part of a search that may store: the source's shard finds, the target's stores.
fn act_radius(cx: &mut Cx<'_>, args: Args<'_>, order: Order, form: Form) -> Finding {
    let query = match Query::parse(args, form) {
        Ok(query) => query,
        Err(failure) => return Finding::Failed(failure),
    };
    if let Some(place) = order.key {
        return act_store(cx, args.at(place as usize), order.given);
    }
    let Some(source) = (0..cx.keys.len()).find(|n| cx.keys[*n].place == SOURCE) else {
        return Finding::Nothing;
    };
    let found = match cx.read_held::<SortedSet>(cx.key(args, source)) {
        Ok(Some(set)) => query.find(set),
        Ok(None) => Ok(Vec::new()),
        Err(failure) => Err(failure),
    };
    let hits = match found {
        Ok(hits) => hits,
        Err(failure) => return Finding::Failed(failure),
    };
    if query.target.is_some() {
        let limits = super::zset::limits(cx);
        return carried(SortedSet::of_ordered(&query.pairs(hits), limits));
    }
    let found = hits.into_iter().flat_map(|hit| {
        [
            Finding::Bytes(hit.member),
            Finding::Count(hit.score.to_bits()),
            Finding::Count(hit.distance.to_bits()),
        ]
    });
    Finding::List(found.collect())
}

fn next_radius(args: Args<'_>, findings: Vec<Finding>, reply: &mut Reply<'_>, form: Form) -> Next {
    let query = match Query::parse(args, form) {
        Ok(query) => query,
        Err(failure) => return Next::Failed(failure),
    };
    for finding in findings {
        match finding {
            Finding::List(found) => {
                let hits = found.chunks(3).filter_map(|parts| match parts {
                    [Finding::Bytes(member), Finding::Count(score), Finding::Count(distance)] => Some(Hit {
                        member: member.clone(),
                        score: f64::from_bits(*score),
                        distance: f64::from_bits(*distance),
                    }),
                    _ => None,
                });
                query.reply(&hits.collect::<Vec<_>>(), reply);
                return Next::Done;
            }
            Finding::Nothing => {}
            other => return next_store(vec![other], reply, query.target.unwrap_or(0) as u32),
        }
    }
    unreachable!("the shard of the source has said what it has")
}

/// What is stored of what was found.
fn made(set: &SortedSet, args: Args<'_>, form: Form) -> Result<Vec<(Vec<u8>, f64)>, Failure> {
    let query = Query::parse(args, form)?;
    Ok(query.pairs(query.find(set)?))
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[test]
    fn areas_are_searched_and_what_is_found_is_stored_on_any_shard() {
        for cores in [1, 3] {
            let mut world = World::new(cores);
            let client = world.connect(0);
            world.call(
                client,
                "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 12.758489 38.788135 edge1",
            );
            world.call(client, "GEOADD g 17.241510 38.788135 edge2");
            for (call, reply) in [
                ("GEORADIUS g 15 37 200 km", "Palermo Catania"),
                ("GEORADIUS g 15 37 200 km WITHDIST ASC", "Catania 56.4413 Palermo 190.4424"),
                ("GEORADIUS g 15 37 200 km COUNT 1 WITHHASH", "Catania 3479447370796909"),
                (
                    "GEORADIUS g 15 37 200 km DESC COUNT 1 WITHCOORD",
                    "Palermo 13.36138933897018433 38.11555639549629859",
                ),
                ("GEORADIUS g 15 37 20 km", ""),
                ("GEORADIUS nosuch 15 37 20 km", ""),
                ("GEORADIUS_RO g 15 37 200 km ASC", "Catania Palermo"),
                ("GEORADIUSBYMEMBER g Catania 170 km ASC", "Catania Palermo"),
                ("GEORADIUSBYMEMBER_RO g Catania 1 m", "Catania"),
                ("GEORADIUSBYMEMBER g x 1 m", "ERR could not decode requested zset member"),
                ("GEORADIUSBYMEMBER nosuch x 1 m", ""),
                ("GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km ASC", "Catania Palermo edge2 edge1"),
                (
                    "GEOSEARCH g FROMMEMBER Palermo BYRADIUS 200 km ASC COUNT 2 WITHDIST",
                    "Palermo 0.0000 edge1 91.4007",
                ),
                ("GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km COUNT 2 ANY ASC", "Palermo edge1"),
                ("GEOSEARCHSTORE t g FROMLONLAT 15 37 BYBOX 400 400 km ASC COUNT 3", "3"),
                ("GEOSEARCH t FROMLONLAT 15 37 BYBOX 400 400 km ASC", "Catania Palermo edge2"),
                ("GEOSEARCHSTORE t1 g FROMLONLAT 15 37 BYBOX 400 400 km STOREDIST", "4"),
                ("ZRANGE t1 0 0 WITHSCORES", "Catania 56.4412578701582"),
                ("GEORADIUS g 15 37 200 km STORE t2", "2"),
                ("GEORADIUS g 15 37 200 km STORE t2 STOREDIST t3", "2"),
                ("ZRANGE t2 0 -1", "Palermo Catania"),
                ("ZRANGE t3 0 -1", "Catania Palermo"),
                ("GEORADIUS g 15 37 1 m STORE t2", "0"),
                ("GEORADIUSBYMEMBER nosuch x 1 m STORE t3", "0"),
                ("EXISTS t2 t3", "0"),
                (
                    "GEORADIUS g 15 37 1 m STORE t2 WITHDIST",
                    "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
                ),
                (
                    "GEOSEARCHSTORE t g FROMLONLAT 15 37 BYBOX 400 400 km WITHHASH",
                    "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
                ),
                ("GEORADIUS_RO g 15 37 1 m STORE t2", "ERR syntax error"),
                ("GEORADIUS g 15 37 x km", "ERR need numeric radius"),
                ("GEORADIUS g 15 37 -1 km", "ERR radius cannot be negative"),
                ("GEORADIUS g 15 37 1 yd", "ERR unsupported unit provided. please use M, KM, FT, MI"),
                ("GEORADIUS g 15 37 1 m COUNT 0", "ERR COUNT must be > 0"),
                ("GEORADIUS g 15 37 1 m ANY", "ERR the ANY argument requires COUNT argument"),
                ("GEOSEARCH g FROMLONLAT 15 37 BYBOX -1 1 km", "ERR height or width cannot be negative"),
                ("GEOSEARCH g FROMLONLAT 15 37 BYBOX x 1 km", "ERR need numeric width"),
                (
                    "GEOSEARCH g BYRADIUS 1 km ASC ASC ASC",
                    "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH",
                ),
                (
                    "GEOSEARCH g FROMLONLAT 15 37 ASC ASC",
                    "ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH",
                ),
                ("GEOSEARCH g FROMLONLAT 15 37 FROMMEMBER a BYRADIUS 1 km", "ERR syntax error"),
            ] {
                let found = world.say(client, call).replace('\n', " ");
                assert_eq!(found, reply, "{call} of {cores}");
            }
        }
    }
}
