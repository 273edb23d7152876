//! How large each scenario is, and what is met in it: it changes when the protocol changes, or the model. Then look whether it should
//! have.

use super::met::Situation::{
    self, BeforeUndrawn, BehindHeld, BothOrders, Chain, Full, GoneAmid, Late, Over, Overtook, OwnUndrawn,
    OwnWaiting, Parked, Resumed,
};

/// A scenario, as it was found.
pub struct Record {
    /// Its name.
    pub name: &'static str,
    /// Different states, if no core turns for nothing.
    pub still: usize,
    /// Different states as it stands.
    pub whole: usize,
    /// What is met, also if no core turns for nothing.
    pub meets: &'static [Situation],
}

/// All of them.
pub const RECORDS: &[Record] = &[
    Record {
        name: "2: SETx MSETxy GETx | MSETyx GETy",
        still: 38221,
        whole: 101247,
        meets: &[Late, BeforeUndrawn, OwnUndrawn, OwnWaiting, BehindHeld, Overtook, BothOrders, Over],
    },
    Record {
        name: "2: MSETxy GETx | MSETyx | GETx;GETy",
        still: 166375,
        whole: 410095,
        meets: &[Late, BeforeUndrawn, OwnUndrawn, OwnWaiting, BehindHeld, Overtook, BothOrders, Over],
    },
    Record {
        name: "2: MSETxy | MSETxy | MSETzw | GETy;GETx",
        still: 4689472,
        whole: 9055457,
        meets: &[Late, BeforeUndrawn, BehindHeld, Overtook, BothOrders, Over],
    },
    Record {
        name: "3: MSETxy | @2 SETy MSETxy",
        still: 302434,
        whole: 1823198,
        meets: &[Late, BeforeUndrawn, BehindHeld, Overtook, BothOrders, Over],
    },
    Record {
        name: "3: a ring without own entries, @2 xy | @0 yv | @1 vx",
        still: 59369830,
        whole: 59369830,
        meets: &[Late, BothOrders, Over],
    },
    Record {
        name: "2: SETy MSETxy SETy | MSETxy SETx",
        still: 457575,
        whole: 911145,
        meets: &[Late, BeforeUndrawn, OwnWaiting, BehindHeld, Overtook, BothOrders, Over],
    },
    Record {
        name: "2: MSETxy SETx | MSETxw | MSETzy | GETx",
        still: 5438997,
        whole: 10248599,
        meets: &[Late, BeforeUndrawn, OwnUndrawn, OwnWaiting, BehindHeld, Overtook, BothOrders, Over],
    },
    Record {
        name: "3: MSETxy | MSETyx | @2 GETx;GETy",
        still: 525651,
        whole: 525651,
        meets: &[Late, BeforeUndrawn, BehindHeld, Overtook, BothOrders, Over],
    },
    Record {
        name: "2: MSETxy SETy MSETxy | MSETxy",
        still: 167277,
        whole: 308802,
        meets: &[Late, BeforeUndrawn, OwnWaiting, BehindHeld, Overtook, Chain, BothOrders, Over],
    },
    Record {
        name: "2: MSETxy GETx GETx | SETx | MSETxy SETx",
        still: 798954,
        whole: 1998053,
        meets: &[Late, BeforeUndrawn, OwnUndrawn, OwnWaiting, BehindHeld, Overtook, BothOrders, Over],
    },
    Record {
        name: "3: MSETxy | MSETxy | MSETxy GETy",
        still: 25188763,
        whole: 25188763,
        meets: &[Late, BeforeUndrawn, OwnWaiting, BehindHeld, Overtook, Chain, BothOrders, Over],
    },
    Record {
        name: "3: MSETxy | @2 MSETxy | @1 SETz, turns for nothing",
        still: 516698,
        whole: 4155916,
        meets: &[Late, BeforeUndrawn, BothOrders, Over],
    },
    Record {
        name: "3: MSETxy | @2 MSETxy, turns for nothing",
        still: 50894,
        whole: 446345,
        meets: &[Late, BeforeUndrawn, BothOrders, Over],
    },
    Record {
        name: "3: SETy MSETxy | @2 MSETxy SETy",
        still: 1453290,
        whole: 1453290,
        meets: &[Late, BeforeUndrawn, OwnWaiting, BehindHeld, Overtook, BothOrders, Over],
    },
    Record {
        name: "2: MSETxy SETx | SETx | SETx MSETxy",
        still: 322934,
        whole: 761683,
        meets: &[Late, BeforeUndrawn, OwnUndrawn, OwnWaiting, BehindHeld, Overtook, BothOrders, Over],
    },
    Record {
        name: "2: MSETxzy EXEC{xz} GETx | MSETxy MSETzw",
        still: 477853,
        whole: 997441,
        meets: &[Late, BeforeUndrawn, OwnUndrawn, OwnWaiting, BehindHeld, Overtook, Chain, BothOrders, Over],
    },
    Record {
        name: "2: MGETxy SETx GETx | MSETxy | GETy;GETx",
        still: 681994,
        whole: 1671450,
        meets: &[Late, BeforeUndrawn, OwnUndrawn, OwnWaiting, BehindHeld, Overtook, BothOrders, Over],
    },
    Record {
        name: "2: MSETxy | MSETxzw | MSETzw GETz",
        still: 404263,
        whole: 404263,
        meets: &[Late, BeforeUndrawn, OwnUndrawn, OwnWaiting, BehindHeld, Overtook, Chain, BothOrders, Over],
    },
    Record {
        name: "3: @2 MSETxy MSETyx GETy | @0 MSETxy GETx",
        still: 32673462,
        whole: 32673462,
        meets: &[Late, BeforeUndrawn, OwnUndrawn, OwnWaiting, BehindHeld, Overtook, Chain, BothOrders, Over],
    },
    Record {
        name: "2: MGETxy SETx | GETx SETx MSETxy",
        still: 215153,
        whole: 461183,
        meets: &[Late, BeforeUndrawn, OwnUndrawn, OwnWaiting, BehindHeld, Overtook, BothOrders, Over],
    },
    Record {
        name: "3: MSETxy | @2 MSETxy | @2 GETy;GETx",
        still: 1456816,
        whole: 1456816,
        meets: &[Late, BeforeUndrawn, BehindHeld, Overtook, BothOrders, Over],
    },
    Record {
        name: "2: MGETxy GETx | SETx | @1 MSETxy",
        still: 97918,
        whole: 232379,
        meets: &[Late, BeforeUndrawn, OwnUndrawn, OwnWaiting, BehindHeld, Overtook, BothOrders, Over],
    },
    Record {
        name: "2: MGETxzy MGETxy | MSETzw | SETx",
        still: 776332,
        whole: 1443378,
        meets: &[Late, BeforeUndrawn, BehindHeld, Overtook, BothOrders, Over],
    },
    Record {
        name: "2: MGETxy EXEC-read{xz} | SETz; SETy",
        still: 2164,
        whole: 7486,
        meets: &[OwnUndrawn, OwnWaiting, BehindHeld, Overtook, Over],
    },
    Record {
        name: "2: MGETxy | @0 SETx GETx | MSETxy",
        still: 34993,
        whole: 95496,
        meets: &[Late, BeforeUndrawn, BehindHeld, Overtook, BothOrders, Over],
    },
    Record {
        name: "2: RENxy GETx | RENyx | GETx;GETy",
        still: 195961,
        whole: 510795,
        meets: &[Late, BeforeUndrawn, OwnUndrawn, OwnWaiting, BehindHeld, Overtook, BothOrders, Over],
    },
    Record {
        name: "2: MSETxy MGETxy | RENxy SETy",
        still: 173606,
        whole: 355688,
        meets: &[Late, BeforeUndrawn, OwnUndrawn, OwnWaiting, BehindHeld, Overtook, Chain, BothOrders, Over],
    },
    Record {
        name: "2: RENxy EXEC{xz} | MSETzw GETw | GETy;GETx",
        still: 1345767,
        whole: 3634389,
        meets: &[Late, BeforeUndrawn, OwnUndrawn, OwnWaiting, BehindHeld, Overtook, BothOrders, Over],
    },
    Record {
        name: "2: RENxy | RENxw | GETw;GETy: one finds no source",
        still: 107831,
        whole: 107831,
        meets: &[Late, BeforeUndrawn, BehindHeld, Overtook, BothOrders, Over],
    },
    Record {
        name: "2: RENNXxy GETy | DELy SETx | GETx;GETy: the target is occupied, or not",
        still: 260576,
        whole: 260576,
        meets: &[OwnWaiting, BehindHeld, Overtook, Over],
    },
    Record {
        name: "2: MSETNXxy SETx | DELxy | MGETxy: keys are occupied, or free",
        still: 347319,
        whole: 347319,
        meets: &[Late, BeforeUndrawn, OwnUndrawn, OwnWaiting, BehindHeld, Overtook, Chain, BothOrders, Over],
    },
    Record {
        name: "2: COPYxy GETx | MSETxy | RENyx",
        still: 411869,
        whole: 411869,
        meets: &[Late, BeforeUndrawn, OwnUndrawn, OwnWaiting, BehindHeld, Overtook, Chain, BothOrders, Over],
    },
    Record {
        name: "3: RENxy | @2 RENyx | @1 MSETxy",
        still: 5375921,
        whole: 5375921,
        meets: &[Late, BeforeUndrawn, Chain, BothOrders, Over],
    },
    Record {
        name: "2: WATCHxy;EXEC{xy} | SETy | GETx;GETy",
        still: 22462,
        whole: 22462,
        meets: &[BehindHeld, Overtook, Over],
    },
    Record {
        name: "2: WATCHy EXEC{xw} GETx | SETy | SETx",
        still: 20328,
        whole: 20328,
        meets: &[OwnUndrawn, OwnWaiting, BehindHeld, Overtook, Over],
    },
    Record {
        name: "2: WATCHxy EXEC{x} | WATCHxy EXEC{y}: one of them at the most",
        still: 3257167,
        whole: 3257167,
        meets: &[Late, BeforeUndrawn, Chain, BothOrders, Over],
    },
    Record {
        name: "2: WATCHy EXEC{yw} | SETy MSETxy",
        still: 4966,
        whole: 4966,
        meets: &[BehindHeld, Overtook, Over],
    },
    Record {
        name: "2: WATCHy EXEC{wq} | SETy MSETxy: what is watched is not what is written",
        still: 4966,
        whole: 4966,
        meets: &[BehindHeld, Overtook, Over],
    },
    Record {
        name: "2: WATCHxy UNWATCH GETy | MSETxy: the round ends before it has begun",
        still: 55155,
        whole: 55155,
        meets: &[Late, BeforeUndrawn, OwnWaiting, BehindHeld, Overtook, BothOrders, Over],
    },
    Record {
        name: "2: WATCHx EXEC{xz} | MSETxy | RENxy",
        still: 18188,
        whole: 18188,
        meets: &[BehindHeld, Overtook, BothOrders, Over],
    },
    Record {
        name: "3: WATCHy;EXEC{xv} | @1 SETy | @2 MSETxv",
        still: 990850,
        whole: 990850,
        meets: &[Late, BeforeUndrawn, BehindHeld, Overtook, BothOrders, Over],
    },
    Record {
        name: "2: SETy with an end; WATCHxy;EXEC{xw} | GETy, the clock moves on",
        still: 34883,
        whole: 34883,
        meets: &[Over],
    },
    Record {
        name: "2: SETy with an end; WATCHy;EXEC{yw} | MSETxy, the clock moves on",
        still: 67577,
        whole: 67577,
        meets: &[BehindHeld, Overtook, Over],
    },
    Record {
        name: "2: MSETxy GETx | FLUSHALL | GETy;GETx",
        still: 219476,
        whole: 219476,
        meets: &[Late, BeforeUndrawn, OwnUndrawn, OwnWaiting, BehindHeld, Overtook, BothOrders, Over],
    },
    Record {
        name: "2: FLUSHALL MSETxy SETz | DBSIZE DBSIZE",
        still: 3934713,
        whole: 3934713,
        meets: &[Late, BeforeUndrawn, OwnUndrawn, OwnWaiting, BehindHeld, Overtook, Chain, BothOrders, Over],
    },
    Record {
        name: "2: EXEC{FLUSHALL SETx} | MSETxy | GETy;GETx",
        still: 59438,
        whole: 59438,
        meets: &[Late, BeforeUndrawn, BehindHeld, Overtook, BothOrders, Over],
    },
    Record {
        name: "3: FLUSHALL | @2 MSETxy | @1 DBSIZE",
        still: 96778414,
        whole: 96778414,
        meets: &[Late, BeforeUndrawn, Chain, BothOrders, Over],
    },
    Record {
        name: "2: MSETxy SETy, may vanish | MSETxy | GETx;GETy",
        still: 697813,
        whole: 697813,
        meets: &[Late, BeforeUndrawn, OwnWaiting, BehindHeld, Overtook, BothOrders, Over, GoneAmid],
    },
    Record {
        name: "2: WATCHxy EXEC{xw}, may vanish | SETy MSETxy",
        still: 247570,
        whole: 247570,
        meets: &[Late, BeforeUndrawn, BehindHeld, Overtook, Chain, BothOrders, Over, GoneAmid],
    },
    Record {
        name: "2: RENxy, may vanish | RENyx, may vanish | GETx;GETy",
        still: 262337,
        whole: 262337,
        meets: &[Late, BeforeUndrawn, BehindHeld, Overtook, BothOrders, Over, GoneAmid],
    },
    Record {
        name: "2: WATCHy MSETxy EXEC{yw} with one credit, may vanish | SETx MSETxy",
        still: 312067,
        whole: 312067,
        meets: &[
            Late,
            BeforeUndrawn,
            BehindHeld,
            Overtook,
            BothOrders,
            Parked,
            Resumed,
            Over,
            GoneAmid,
            Full,
        ],
    },
    Record {
        name: "2: one credit, MSETxy SETy | GETy | @1 MSETxy GETx",
        still: 277494,
        whole: 277494,
        meets: &[Late, BeforeUndrawn, BehindHeld, Overtook, BothOrders, Parked, Resumed, Over, Full],
    },
    Record {
        name: "3: one credit, MSETyv between | GETy | GETv | GETy",
        still: 338452,
        whole: 338452,
        meets: &[Parked, Resumed, Over, Full],
    },
    Record {
        name: "2: one credit, MSETxy MSETxw MSETzy | @1 MSETxq GETz: releases in a row",
        still: 876596,
        whole: 876596,
        meets: &[Late, BeforeUndrawn, BehindHeld, Overtook, BothOrders, Parked, Resumed, Over, Full],
    },
    Record {
        name: "3: one credit, RENyv | FLUSHALL | @1 MSETxv",
        still: 3685857,
        whole: 3685857,
        meets: &[Late, BeforeUndrawn, BothOrders, Parked, Resumed, Over, Full],
    },
];
