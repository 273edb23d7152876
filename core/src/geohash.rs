//! Places on the earth as numbers: longitude and latitude interleaved to 52 bits, which a double holds exactly, and distances on a sphere.
//!
//! It knows numbers and where they lie. It does not know sets or commands. The bits, the radius of the earth and the cells that a search
//! looks at are those of Redis, so that scores, digits and the order of results agree.

/// Degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// East of Greenwich.
    pub longitude: f64,
    /// North of the equator.
    pub latitude: f64,
}

/// Bits of each coordinate in a score.
const STEP_MAX: u8 = 26;
/// The square of the map that web services use ends here (EPSG:3857).
const LATITUDE_MAX: f64 = 85.051_128_78;
const LONGITUDE_MAX: f64 = 180.0;
/// Metres.
const EARTH_RADIUS: f64 = 6_372_797.560_856;
/// Half the width of that map, metres.
const MERCATOR_MAX: f64 = 20_037_726.37;

/// A cell of the grid that `step` bits of each coordinate make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    bits: u64,
    step: u8,
}

/// What a cell covers, or a search.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Area {
    longitude: (f64, f64),
    latitude: (f64, f64),
}

/// What is searched for: all places within a shape around a centre; lengths in metres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// A circle.
    Circle {
        /// Its radius.
        radius: f64,
    },
    /// A box along the meridians.
    Box {
        /// From west to east.
        width: f64,
        /// From south to north.
        height: f64,
    },
}

const EVEN: u64 = 0x5555_5555_5555_5555;
const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;

/// The bits of the latitude, and between them those of the longitude.
fn interleave(latitude: u32, longitude: u32) -> u64 {
    let spread = |half: u32| {
        [
            (16, 0x0000_ffff_0000_ffff),
            (8, 0x00ff_00ff_00ff_00ff),
            (4, 0x0f0f_0f0f_0f0f_0f0f),
            (2, 0x3333_3333_3333_3333),
            (1, EVEN),
        ]
        .into_iter()
        .fold(u64::from(half), |bits, (shift, mask)| (bits | bits << shift) & mask)
    };
    spread(latitude) | spread(longitude) << 1
}

fn deinterleave(bits: u64) -> (u32, u32) {
    let gather = |bits: u64| {
        [
            (1, 0x3333_3333_3333_3333),
            (2, 0x0f0f_0f0f_0f0f_0f0f),
            (4, 0x00ff_00ff_00ff_00ff),
            (8, 0x0000_ffff_0000_ffff),
            (16, 0xffff_ffff),
        ]
        .into_iter()
        .fold(bits & EVEN, |bits, (shift, mask)| (bits | bits >> shift) & mask) as u32
    };
    (gather(bits), gather(bits >> 1))
}

fn encode(place: Place, latitude_max: f64, step: u8) -> Cell {
    let offset = |degrees: f64, max: f64| {
        let part = (degrees + max) / (2.0 * max);
        (part * (1u64 << step) as f64) as u32
    };
    let bits = interleave(offset(place.latitude, latitude_max), offset(place.longitude, LONGITUDE_MAX));
    Cell { bits, step }
}

fn decode(cell: Cell, latitude_max: f64) -> Area {
    let (latitude, longitude) = deinterleave(cell.bits);
    let cells = (1u64 << cell.step) as f64;
    let range = |offset: u32, max: f64| {
        let scale = max - -max;
        (-max + (f64::from(offset) / cells) * scale, -max + ((f64::from(offset) + 1.0) / cells) * scale)
    };
    Area { longitude: range(longitude, LONGITUDE_MAX), latitude: range(latitude, latitude_max) }
}

impl Place {
    /// A place that the grid covers.
    pub fn new(longitude: f64, latitude: f64) -> Option<Place> {
        let is_covered = longitude.abs() <= LONGITUDE_MAX && latitude.abs() <= LATITUDE_MAX;
        is_covered.then_some(Place { longitude, latitude })
    }

    /// As a score.
    pub fn score(self) -> f64 {
        encode(self, LATITUDE_MAX, STEP_MAX).bits as f64
    }

    /// The middle of the cell that a score names.
    pub fn of_score(score: f64) -> Place {
        let area = decode(Cell { bits: score as u64, step: STEP_MAX }, LATITUDE_MAX);
        let middle = |(min, max): (f64, f64), most: f64| ((min + max) / 2.0).clamp(-most, most);
        Place {
            longitude: middle(area.longitude, LONGITUDE_MAX),
            latitude: middle(area.latitude, LATITUDE_MAX),
        }
    }

    /// Eleven letters, as on geohash.org: there the latitude goes from pole to pole.
    pub fn text(self) -> [u8; 11] {
        const LETTERS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let bits = encode(self, 90.0, STEP_MAX).bits;
        let mut text = [b'0'; 11];
        // 52 bits make ten letters; the eleventh has none left.
        for (n, letter) in text.iter_mut().take(10).enumerate() {
            *letter = LETTERS[(bits >> (52 - (n + 1) * 5)) as usize & 0x1f];
        }
        text
    }

    /// Metres along a great circle, by the haversine formula.
    pub fn distance(self, other: Place) -> f64 {
        let v = ((radians(other.longitude) - radians(self.longitude)) / 2.0).sin();
        if v == 0.0 {
            return latitude_distance(self.latitude, other.latitude);
        }
        let (one, two) = (radians(self.latitude), radians(other.latitude));
        let u = ((two - one) / 2.0).sin();
        let a = u * u + one.cos() * two.cos() * v * v;
        2.0 * EARTH_RADIUS * a.sqrt().asin()
    }
}

fn radians(degrees: f64) -> f64 {
    degrees * (std::f64::consts::PI / 180.0)
}

fn degrees(radians: f64) -> f64 {
    radians / (std::f64::consts::PI / 180.0)
}

fn latitude_distance(one: f64, other: f64) -> f64 {
    EARTH_RADIUS * (radians(other) - radians(one)).abs()
}

impl Cell {
    /// The scores of all places in it: from the first to before the second.
    pub fn scores(self) -> (f64, f64) {
        let shift = 52 - 2 * self.step;
        ((self.bits << shift) as f64, ((self.bits + 1) << shift) as f64)
    }

    /// The cell so many cells to the east and to the north, -1, 0 or 1; the grid goes round.
    fn moved(self, east: i8, north: i8) -> Cell {
        let shift = 64 - 2 * self.step;
        // Adding to every second bit: those between are filled, so that what is carried passes over them.
        let step = |bits: u64, other: u64, by: i8| {
            let filler = other >> shift;
            let moved = match by {
                0 => bits,
                1.. => bits.wrapping_add(filler + 1),
                _ => (bits | filler).wrapping_sub(filler + 1),
            };
            moved & (!other >> shift)
        };
        let (x, y) = (step(self.bits & ODD, EVEN, east), step(self.bits & EVEN, ODD, north));
        Cell { bits: x | y, step: self.step }
    }
}

/// So many bits that a cell is about as large as a search.
fn steps_for(radius: f64, latitude: f64) -> u8 {
    if radius == 0.0 {
        return STEP_MAX;
    }
    let (mut radius, mut step) = (radius, 1i32);
    while radius < MERCATOR_MAX {
        radius *= 2.0;
        step += 1;
    }
    step -= 2;
    // Towards the poles cells become narrow.
    if latitude.abs() > 66.0 {
        step -= 1;
    }
    if latitude.abs() > 80.0 {
        step -= 1;
    }
    step.clamp(1, i32::from(STEP_MAX)) as u8
}

impl Shape {
    /// Metres to the furthest point.
    fn reach(self) -> f64 {
        match self {
            Shape::Circle { radius } => radius,
            Shape::Box { width, height } => {
                ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
            }
        }
    }

    fn bounds(self, centre: Place) -> Area {
        let (width, height) = match self {
            Shape::Circle { radius } => (radius, radius),
            Shape::Box { width, height } => (width / 2.0, height / 2.0),
        };
        let Place { longitude, latitude } = centre;
        let up = degrees(height / EARTH_RADIUS);
        let across = |latitude: f64| degrees(width / EARTH_RADIUS / radians(latitude).cos());
        // The side nearer to the pole is the wider one in degrees.
        let side = if latitude < 0.0 { across(latitude - up) } else { across(latitude + up) };
        Area { longitude: (longitude - side, longitude + side), latitude: (latitude - up, latitude + up) }
    }

    /// Metres from the centre to a place, if it lies within.
    pub fn distance(self, centre: Place, place: Place) -> Option<f64> {
        match self {
            Shape::Circle { radius } => Some(centre.distance(place)).filter(|distance| *distance <= radius),
            Shape::Box { width, height } => {
                let is_within = latitude_distance(place.latitude, centre.latitude) <= height / 2.0 && {
                    let beside = Place { longitude: centre.longitude, latitude: place.latitude };
                    place.distance(beside) <= width / 2.0
                };
                is_within.then(|| centre.distance(place))
            }
        }
    }

    /// The cells to look at: the centre's, and those of its eight neighbours that the shape reaches into.
    pub fn cells(self, centre: Place) -> Vec<Cell> {
        let bounds = self.bounds(centre);
        let mut step = steps_for(self.reach(), centre.latitude);
        let around = |step: u8| {
            let cell = encode(centre, LATITUDE_MAX, step);
            (cell, decode(cell, LATITUDE_MAX))
        };
        let (mut cell, mut area) = around(step);
        let edge = |east, north| decode(cell.moved(east, north), LATITUDE_MAX);
        let is_small = edge(0, 1).latitude.1 < bounds.latitude.1
            || edge(0, -1).latitude.0 > bounds.latitude.0
            || edge(1, 0).longitude.1 < bounds.longitude.1
            || edge(-1, 0).longitude.0 > bounds.longitude.0;
        if step > 1 && is_small {
            step -= 1;
            (cell, area) = around(step);
        }
        // East and north of each, in Redis's order.
        const AROUND: [(i8, i8); 9] =
            [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        let is_useless = |(east, north): (i8, i8)| {
            step >= 2
                && (north < 0 && area.latitude.0 < bounds.latitude.0
                    || north > 0 && area.latitude.1 > bounds.latitude.1
                    || east < 0 && area.longitude.0 < bounds.longitude.0
                    || east > 0 && area.longitude.1 > bounds.longitude.1)
        };
        let mut cells: Vec<Cell> = Vec::new();
        for (n, way) in AROUND.into_iter().enumerate() {
            let next = cell.moved(way.0, way.1);
            // In a coarse grid neighbours may be the same; whoever comes behind the first of all is looked at all the same, as in Redis.
            let is_again = cells.len() > 1 && cells.last() == Some(&next);
            if n == 0 || !is_useless(way) && !is_again {
                cells.push(next);
            }
        }
        cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PALERMO: Place = Place { longitude: 13.361389, latitude: 38.115556 };
    const CATANIA: Place = Place { longitude: 15.087269, latitude: 37.502669 };

    #[test]
    fn places_have_the_numbers_that_the_documentation_shows() {
        assert_eq!(PALERMO.score(), 3_479_099_956_230_698.0);
        assert_eq!(CATANIA.score(), 3_479_447_370_796_909.0);
        let back = [PALERMO, CATANIA].map(|place| Place::of_score(place.score()));
        assert_eq!(format!("{:.17}", back[0].longitude), "13.36138933897018433");
        assert_eq!(format!("{:.4}", back[0].distance(back[1])), "166274.1516");
        assert_eq!(
            back.map(|place| String::from_utf8_lossy(&place.text()).into_owned()),
            ["sqc8b49rny0".to_string(), "sqdtr74hyu0".to_string()]
        );
    }

    #[test]
    fn neighbours_lead_back() {
        for step in [1, 2, 5, 26] {
            let cell = encode(CATANIA, LATITUDE_MAX, step);
            for (east, north) in [(1, 0), (0, 1), (1, 1), (-1, 1)] {
                assert_eq!(cell.moved(east, north).moved(-east, -north), cell);
            }
            let (from, to) = cell.scores();
            assert!(from <= CATANIA.score() && CATANIA.score() < to);
        }
    }

    #[test]
    fn the_cells_of_a_search_hold_all_that_it_is_for() {
        let mut state = 1u64;
        let mut random = |range: f64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0) * range
        };
        let mut within = 0;
        for _ in 0..2_000 {
            let centre = Place { longitude: random(150.0), latitude: random(70.0) };
            let reach = 10f64.powf(3.0 + random(2.0));
            let shapes = [Shape::Circle { radius: reach }, Shape::Box { width: reach, height: reach / 2.0 }];
            for shape in shapes {
                let cells = shape.cells(centre);
                let away = degrees(reach / EARTH_RADIUS) * 1.2;
                for _ in 0..10 {
                    let place = Place {
                        longitude: centre.longitude + random(away),
                        latitude: centre.latitude + random(away),
                    };
                    if shape.distance(centre, place).is_some() {
                        let score = place.score();
                        within += 1;
                        assert!(cells.iter().any(|cell| cell.scores().0 <= score && score < cell.scores().1));
                    }
                }
            }
        }
        assert!(within > 5_000, "{within}");
    }
}
