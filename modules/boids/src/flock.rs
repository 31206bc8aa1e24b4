//! The flock and its step.
//!
//! A step sorts the agents by the cell of a grid that they are in (counting sort: each
//! worker takes a share of the cells, so that its agents lie together), then steers each agent by
//! those of the 27 cells around it, and puts them back in their own order at the end. A cell is as
//! wide as an agent sees.
//!
//! An agent looks at LANES others at a time, of the three cells of a row: they lie behind one another in
//! the order. LANES agents turn at a time.
//!
//! Invariants:
//! - An agent keeps its number: element i of every state is the same agent.
//! - Agents of a cell keep their order, and an agent adds up what it sees in that order, so the
//!   result does not depend on the number of workers.
//! - The sorted arrays have LANES numbers more than agents, so a group of lanes that begins at an
//!   agent never leaves them.

use inos_sdk::Error;
use inos_sdk::resident::{Arena, Field, MAX_WORKERS, Phase, State, Team};

use crate::STATE;
use crate::lanes::{F4, LANES};

/// Arrays of a state's half: x, y, z, then the velocities.
const ARRAYS: usize = 6;
const LARGEST_GRID: usize = 64;
const AGENTS_A_CELL: f32 = 1.5;
/// An agent looks at this many others in each row of three cells and no more, whatever gathers
/// there: those in the middle of the order. Birds heed six or seven others (Ballerini and others,
/// "Interaction ruling animal collective behavior depends on topological rather than metric
/// distance", PNAS 105(4), 2008).
const MOST_IN_A_ROW: u32 = 8;

// All lengths are in widths of a cell.
const TOP_SPEED: f32 = 0.12;
const LEAST_SPEED: f32 = 0.04;
const TOO_CLOSE: f32 = 0.4;
const SEPARATION: f32 = 0.04;
const COHESION: f32 = 0.005;
/// How much more an agent heeds how others move than where they are. A power of two, so that
/// measuring velocities in it loses nothing.
const PULL: f32 = 16.0;
const WALL: f32 = 1.5;
const TURN: f32 = 0.012;

/// The flock.
pub struct Flock {
    agents: usize,
    grid: usize,                  // cells along an edge
    cell: Field<u32>,             // of each agent
    counts: Field<u32>,           // of each cell: its agents, then where the next one goes
    starts: Field<u32>,           // of each cell: its first place in the order; one more for the end
    totals: Field<u32>,           // of each worker: agents in its share of the cells
    order: Field<u32>,            // of each place: the agent
    sorted: [Field<f32>; ARRAYS], // velocities in units of PULL
    moved: [Field<f32>; ARRAYS],  // what becomes of the agent at each place
    state: State<f32>,
}

impl Flock {
    pub(crate) fn new(agents: usize, seed: u32, arena: &Arena) -> Result<Self, Error> {
        let agents = agents.next_multiple_of(LANES);
        let grid = (((agents as f32) / AGENTS_A_CELL).cbrt() as usize).clamp(2, LARGEST_GRID);
        let cells = grid * grid * grid;
        let sorted = || arena.field(agents + LANES);
        let moved = || arena.field(agents);
        let mut flock = Self {
            agents,
            grid,
            cell: arena.field(agents)?,
            counts: arena.field(cells)?,
            starts: arena.field(cells + 1)?,
            totals: arena.field(MAX_WORKERS)?,
            order: arena.field(agents)?,
            sorted: [sorted()?, sorted()?, sorted()?, sorted()?, sorted()?, sorted()?],
            moved: [moved()?, moved()?, moved()?, moved()?, moved()?, moved()?],
            state: arena.state(STATE, ARRAYS * agents)?,
        };
        let speed = TOP_SPEED / grid as f32;
        flock.state.first().fill(|i| {
            let random = unit(u64::from(seed) << 32 | i as u64);
            if i < 3 * agents { random } else { (2.0 * random - 1.0) * speed }
        });
        Ok(flock)
    }

    pub(crate) fn step(&self, team: &Team<'_>) {
        team.phase(|p| self.find_cells(p, team));
        team.phase(|p| self.count(p, team));
        team.phase(|p| self.sort(p, team));
        team.phase(|p| self.steer(p, team));
        team.phase(|p| self.put_back(p, team));
        team.publish(&self.state);
    }

    fn find_cells(&self, p: &Phase<'_>, team: &Team<'_>) {
        let part = team.part(self.agents);
        let [x, y, z, ..] = self.arrays(p.read(self.state.shown()));
        let cells = p.write(&self.cell, part.clone());
        for (cell, i) in cells.iter_mut().zip(part) {
            *cell = ((self.row(z[i]) * self.grid + self.row(y[i])) * self.grid + self.row(x[i])) as u32;
        }
    }

    /// The row of the grid that a coordinate lies in.
    fn row(&self, at: f32) -> usize {
        ((at * self.grid as f32) as usize).min(self.grid - 1)
    }

    fn count(&self, p: &Phase<'_>, team: &Team<'_>) {
        let part = team.part(self.counts.len());
        let (first, cells) = (part.start as u32, part.len());
        let counts = p.write(&self.counts, part);
        counts.fill(0);
        let mut total = 0;
        for &c in p.read(&self.cell) {
            let mine = c.wrapping_sub(first) as usize;
            if mine < cells {
                counts[mine] += 1;
                total += 1;
            }
        }
        p.write(&self.totals, team.worker()..team.worker() + 1)[0] = total;
    }

    fn sort(&self, p: &Phase<'_>, team: &Team<'_>) {
        let part = team.part(self.counts.len());
        let first = part.start as u32;
        let totals = p.read(&self.totals);
        let base: u32 = totals[..team.worker()].iter().sum();
        let all = totals[team.worker()] as usize;
        let last = team.worker() + 1 == team.workers();
        let starts = p.write(&self.starts, part.start..part.end + usize::from(last));
        let next = p.write(&self.counts, part);
        let mut at = 0; // within this worker's share of the order
        for (start, next) in starts.iter_mut().zip(next.iter_mut()) {
            *start = base + at;
            at += std::mem::replace(next, at);
        }
        if last {
            starts[next.len()] = base + at;
        }
        let range = base as usize..base as usize + all;
        let from = self.arrays(p.read(self.state.shown()));
        let order = p.write(&self.order, range.clone());
        let mut to = self.sorted.each_ref().map(|field| p.write(field, range.clone()));
        for (i, &c) in p.read(&self.cell).iter().enumerate() {
            let mine = c.wrapping_sub(first) as usize;
            if let Some(place) = next.get_mut(mine) {
                order[*place as usize] = i as u32;
                for (k, (to, from)) in to.iter_mut().zip(from).enumerate() {
                    to[*place as usize] = if k < 3 { from[i] } else { from[i] * PULL };
                }
                *place += 1;
            }
        }
    }

    fn steer(&self, p: &Phase<'_>, team: &Team<'_>) {
        let part = team.part(self.agents);
        // One length for all, so that one check serves the six of a group.
        let len = self.agents + LANES;
        let sorted = self.sorted.each_ref().map(|field| &p.read(field)[..len]);
        let starts = p.read(&self.starts);
        let mut to = self.moved.each_ref().map(|field| p.write(field, part.clone()));
        let width = 1.0 / self.grid as f32;
        let mut rows = (usize::MAX, [(0, 0); 9]);
        let mut place = part.start;
        while place < part.end {
            let n = LANES.min(part.end - place);
            let seen = std::array::from_fn(|lane| {
                let me = sorted.map(|array| array[place + lane.min(n - 1)]);
                let cell = (self.row(me[2]) * self.grid + self.row(me[1])) * self.grid + self.row(me[0]);
                if cell != rows.0 {
                    rows = (cell, self.rows(cell, starts));
                }
                look([me[0], me[1], me[2]], &rows.1, sorted, width)
            });
            let me = sorted.map(|array| F4::new(array[place..place + LANES].first_chunk().expect("LANES numbers")));
            let at = place - part.start;
            for (array, lanes) in to.iter_mut().zip(turn(me, seen, width)) {
                array[at..at + n].copy_from_slice(&lanes.numbers()[..n]);
            }
            place += n;
        }
    }

    /// The places of the agents in and around a cell that one looks at: three cells a row are
    /// neighbours in the order, too.
    fn rows(&self, cell: usize, starts: &[u32]) -> [(u32, u32); 9] {
        let last = self.grid - 1;
        let [x, y, z] = [cell % self.grid, cell / self.grid % self.grid, cell / (self.grid * self.grid)];
        let (left, right) = (x.saturating_sub(1), (x + 1).min(last));
        std::array::from_fn(|i| {
            let (y, z) = (y + i % 3, z + i / 3); // one more than the row's
            if y == 0 || y > self.grid || z == 0 || z > self.grid {
                return (0, 0);
            }
            let row = ((z - 1) * self.grid + y - 1) * self.grid;
            let (start, end) = (starts[row + left], starts[row + right + 1]);
            let middle = (starts[row + x] + starts[row + x + 1]) / 2;
            let first = middle.saturating_sub(MOST_IN_A_ROW / 2).min(end.saturating_sub(MOST_IN_A_ROW)).max(start);
            (first, end.min(first + MOST_IN_A_ROW))
        })
    }

    /// Shows every agent under its own number.
    fn put_back(&self, p: &Phase<'_>, team: &Team<'_>) {
        let part = team.part(self.agents);
        let from = self.moved.each_ref().map(|field| &p.read(field)[..self.agents]);
        let mut next: [&mut [f32]; ARRAYS] = std::array::from_fn(|k| {
            p.write(self.state.next(), k * self.agents + part.start..k * self.agents + part.end)
        });
        for (place, &agent) in p.read(&self.order).iter().enumerate() {
            let mine = (agent as usize).wrapping_sub(part.start);
            if mine < part.len() {
                for (to, from) in next.iter_mut().zip(from) {
                    to[mine] = from[place];
                }
            }
        }
    }

    fn arrays<'a>(&self, half: &'a [f32]) -> [&'a [f32]; ARRAYS] {
        std::array::from_fn(|k| &half[k * self.agents..(k + 1) * self.agents])
    }
}

/// What an agent knows of the others, in parts that are still to be added up.
struct Seen {
    count: F4,
    pull: [F4; 3], // how the others move, and where they are as seen from the agent, in units of COHESION
    away: [F4; 3],
}

/// What the agent at a place sees, itself included.
#[inline(always)] // so that the lengths of sorted are known to be one
fn look(me: [f32; 3], rows: &[(u32, u32); 9], sorted: [&[f32]; ARRAYS], width: f32) -> Seen {
    let me = me.map(F4::all);
    let (sight, near) = (F4::all(width * width), F4::all(TOO_CLOSE * TOO_CLOSE * width * width));
    let mut seen = Seen { count: F4::all(0.0), pull: [F4::all(0.0); 3], away: [F4::all(0.0); 3] };
    for &(start, end) in rows {
        let (mut at, end) = (start as usize, end as usize);
        while at < end {
            let [x, y, z, u, v, w] =
                sorted.map(|array| F4::new(array[at..at + LANES].first_chunk().expect("LANES numbers")));
            let to = [me[0].minus(x), me[1].minus(y), me[2].minus(z)];
            let distance = to[0].times(to[0]).plus(to[1].times(to[1])).plus(to[2].times(to[2]));
            let inside = distance.below(sight).only(F4::first(end - at));
            seen.count = seen.count.plus(F4::all(1.0).only(inside));
            for (k, pulled) in [u, v, w].into_iter().enumerate() {
                seen.pull[k] = seen.pull[k].plus(pulled.minus(to[k]).only(inside));
            }
            let close = distance.below(near).only(inside);
            for (away, to) in seen.away.iter_mut().zip(to) {
                *away = away.plus(to.only(close));
            }
            at += LANES;
        }
    }
    seen
}

/// Where LANES agents are after the step, and how they move. One that sees none but itself goes
/// on as it is, unless a wall is near.
#[inline(always)]
fn turn(me: [F4; ARRAYS], seen: [Seen; LANES], width: f32) -> [F4; ARRAYS] {
    let zero = F4::all(0.0);
    let others = F4::totals(seen.each_ref().map(|s| s.count)).minus(F4::all(1.0));
    let share = F4::all(COHESION).over(others.greater(F4::all(1.0)));
    let alone = others.below(F4::all(0.5));
    let mut velocity = [zero; 3];
    for k in 0..3 {
        let (at, pulled) = (me[k], me[3 + k]); // its own pull is in the sum, too
        let pull = F4::totals(seen.each_ref().map(|s| s.pull[k])).minus(pulled);
        let heed = pull.times(share).minus(pulled.times(F4::all(COHESION)));
        let away = F4::totals(seen.each_ref().map(|s| s.away[k]));
        let low = F4::all(TURN * width).only(at.below(F4::all(WALL * width)));
        let high = F4::all(TURN * width).only(F4::all(1.0 - WALL * width).below(at));
        let turn = away.times(F4::all(SEPARATION)).plus(heed.unless(alone)).plus(low).minus(high);
        velocity[k] = pulled.times(F4::all(1.0 / PULL)).plus(turn);
    }
    let square = velocity[0].times(velocity[0]).plus(velocity[1].times(velocity[1]));
    let speed = square.plus(velocity[2].times(velocity[2])).root();
    let wanted = speed.greater(F4::all(LEAST_SPEED * width)).lesser(F4::all(TOP_SPEED * width));
    // One that stands still has no direction to go in.
    let scale = wanted.over(speed.greater(F4::all(f32::MIN_POSITIVE))).only(zero.below(speed));
    std::array::from_fn(|k| match k {
        0..3 => me[k].plus(velocity[k].times(scale)).greater(zero).lesser(F4::all(0.999_999)),
        _ => velocity[k - 3].times(scale),
    })
}

/// A number in 0..1 for a key.
///
/// Source: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators",
/// OOPSLA 2014 (SplitMix64).
fn unit(key: u64) -> f32 {
    let mut z = key.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
}
