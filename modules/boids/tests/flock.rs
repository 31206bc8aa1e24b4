//! The flock on the build machine's own threads.

use boids::{Flock, Params, STATE};
use inos_sdk::resident::run;

fn fly(agents: u32, seed: u32, workers: usize, steps: usize) -> (u32, Vec<f32>) {
    let (epoch, bytes) = run::<Flock>(Params { agents, seed }, workers, steps, STATE).expect("it starts");
    (epoch, bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect())
}

#[test]
fn the_number_of_workers_changes_nothing() {
    let (epoch, one) = fly(1000, 7, 1, 30);
    assert_eq!(epoch, 30);
    for workers in [2, 3, 8] {
        assert!(fly(1000, 7, workers, 30).1 == one, "{workers} workers");
    }
    assert!(fly(1000, 8, 1, 30).1 != one, "another seed");
}

#[test]
fn agents_move_and_stay_inside() {
    let (_, before) = fly(500, 1, 2, 0);
    let (_, after) = fly(500, 1, 2, 200);
    assert_eq!(after.len(), 6 * 500);
    assert!(after[..1500].iter().all(|at| (0.0..1.0).contains(at)));
    let moved = before.iter().zip(&after).take(1500).filter(|(a, b)| a != b).count();
    assert!(moved > 1400, "{moved} coordinates changed");
}

#[test]
fn neighbours_turn_the_same_way() {
    let alignment = |state: &[f32]| {
        let mean: Vec<f64> = (3..6)
            .map(|k| state[k * 4000..(k + 1) * 4000].iter().map(|&v| f64::from(v)).sum::<f64>() / 4000.0)
            .collect();
        mean.iter().map(|m| m * m).sum::<f64>().sqrt()
    };
    let (_, before) = fly(4000, 3, 2, 0);
    let (_, after) = fly(4000, 3, 2, 400);
    assert!(alignment(&after) > 3.0 * alignment(&before), "{} then {}", alignment(&before), alignment(&after));
}
