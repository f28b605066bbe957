//! Room is taken, given back, and never more than the limit.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use ringfort_model::Ring;

use super::{Admission, Concurrency};

/// `A` must admit, `R` must refuse, `-` gives the oldest permit back, `+` and `_` move the limit by one.
#[track_caller]
fn check(max: u32, script: &str) {
    let gate = Concurrency::new(max);
    let (mut permits, mut limit) = (std::collections::VecDeque::new(), max);
    for (at, step) in script.chars().enumerate() {
        match step {
            'A' => match gate.admit() {
                Admission::Admitted(permit) => permits.push_back(permit),
                Admission::Full { .. } => panic!("step {at} of {script} must admit"),
            },
            'R' => assert!(
                matches!(gate.admit(), Admission::Full { max } if max == limit),
                "step {at} of {script} must refuse"
            ),
            '-' => drop(permits.pop_front().unwrap()),
            '+' => limit += 1,
            '_' => limit -= 1,
            other => panic!("no step `{other}`"),
        }
        gate.resize(limit);
        assert_eq!(usize::try_from(gate.in_flight()).unwrap(), permits.len(), "step {at}");
    }
}

#[test]
fn room_is_given_back() {
    check(0, "RR");
    check(1, "AR-AR-A");
    check(2, "AAR-AR--AAR");
}

#[test]
fn a_smaller_limit_waits_for_requests_in_flight() {
    check(2, "AA_R-R-AR");
    check(1, "A+AR-A");
}

#[test]
fn a_full_service_is_a_refusal_of_the_load_ring() {
    let gate = Concurrency::new(1);
    let permit = gate.admit().into_permit().unwrap();
    let refusal = gate.admit().into_permit().unwrap_err();
    assert_eq!((refusal.ring, refusal.status, refusal.closes), (Ring::Load, 503, false));
    drop(permit);
    assert_eq!(gate.in_flight(), 0);
}

#[test]
fn threads_never_pass_the_limit() {
    let (gate, most) = (Concurrency::new(3), Arc::new(AtomicU32::new(0)));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    if let Admission::Admitted(permit) = gate.admit() {
                        most.fetch_max(gate.in_flight(), Ordering::Relaxed);
                        drop(permit);
                    }
                }
            });
        }
    });
    assert!((1..=3).contains(&most.load(Ordering::Relaxed)));
    assert_eq!(gate.in_flight(), 0);
}
