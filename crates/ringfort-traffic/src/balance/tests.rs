//! Which instance is chosen: shares of subsets, the less busy of two, and never none while there is one.

use std::collections::BTreeMap;

use proptest::prelude::*;
use ringfort_model::{
    Percent,
    snapshot::{Endpoint, Subset},
};

use super::Balancer;

fn labels(text: &str) -> BTreeMap<String, String> {
    let pair = |word: &str| word.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned()));
    text.split(' ').filter_map(pair).collect()
}

fn endpoints(all: &[&str]) -> Vec<Endpoint> {
    let endpoint = |(index, text): (usize, &&str)| Endpoint {
        address: format!("127.0.0.1:{}", 1000 + index).parse().unwrap(),
        labels: labels(text),
    };
    all.iter().enumerate().map(endpoint).collect()
}

fn subset(name: &str, wanted: &str, weight: u8) -> Subset {
    Subset {
        name: name.parse().unwrap(),
        labels: labels(wanted),
        weight: Percent::new(weight).unwrap(),
    }
}

/// How many random numbers are tried: a multiple of 100 % times every ordered pair of up to four instances.
const DRAWS: u64 = 12_000;

/// How often each endpoint is chosen over all draws, while all are idle.
fn shares(balancer: &Balancer, count: usize) -> Vec<u32> {
    let mut shares = vec![0; count];
    for random in 0..DRAWS {
        shares[balancer.choose(random, None, |_| 0).unwrap()] += 1;
    }
    shares
}

#[track_caller]
fn check(subsets: &[Subset], all: &[&str], expected: &[u32]) {
    let balancer = Balancer::new(subsets, &endpoints(all));
    assert_eq!(shares(&balancer, all.len()), expected, "{all:?}");
}

#[test]
fn a_subset_gets_its_share() {
    let canary = &[subset("canary", "track=canary", 5)];
    check(canary, &["", "track=canary"], &[11_400, 600]);
    check(canary, &["track=canary zone=a", "", "track=stable", ""], &[600, 3800, 3800, 3800]);
    let two = &[subset("a", "t=a", 10), subset("b", "t=b", 30)];
    check(two, &["t=a", "t=b", "t=c"], &[1200, 3600, 7200]);
    check(&[subset("none", "t=a", 0)], &["t=a", ""], &[0, 12_000]);
}

#[test]
fn a_subset_without_instances_leaves_its_share_to_the_rest() {
    let two = &[subset("a", "t=a", 10), subset("b", "t=b", 30)];
    check(two, &["t=b", "t=c"], &[3600, 8400]);
    check(two, &["t=c"], &[12_000]);
    check(two, &["t=a"], &[12_000]);
    check(&[subset("a", "t=a", 5)], &["t=a", "t=a"], &[6000, 6000]);
}

#[test]
fn the_less_busy_of_two_is_chosen() {
    let balancer = Balancer::new(&[], &endpoints(&["", "", ""]));
    let busy = [9_u32, 0, 5];
    let mut seen = [0_u32; 3];
    for random in 0..DRAWS {
        seen[balancer.choose(random, None, |at| busy[at]).unwrap()] += 1;
    }
    assert_eq!(seen, [0, 8000, 4000], "the busiest loses each of the three pairs it is in");
}

#[test]
fn what_was_tried_is_not_chosen_again() {
    let check = |all: &[&str], except: usize, expected: &[usize]| {
        let canary = &[subset("canary", "track=canary", 50)];
        let balancer = Balancer::new(canary, &endpoints(all));
        let mut seen: Vec<_> =
            (0..1_000).filter_map(|random| balancer.choose(random, Some(except), |_| 0)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, expected, "{all:?} without {except}");
    };
    check(&["", "", ""], 1, &[0, 2]);
    check(&["", ""], 0, &[1]);
    check(&[""], 0, &[]);
    check(&["track=canary", ""], 0, &[1]);
    check(&["track=canary", ""], 1, &[0]);
    check(&["", ""], 7, &[0, 1]);
    check(&[], 0, &[]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_is_chosen_while_there_is_one(
        tracks in prop::collection::vec("(|t=a|t=b)", 0..6),
        weights in (0_u8..50, 0_u8..50),
        random: u64,
        except in prop::option::of(0_usize..6),
        busy: [u32; 6],
    ) {
        let tracks: Vec<&str> = tracks.iter().map(String::as_str).collect();
        let subsets = [subset("a", "t=a", weights.0), subset("b", "t=b", weights.1)];
        let balancer = Balancer::new(&subsets, &endpoints(&tracks));
        let chosen = balancer.choose(random, except, |at| busy[at]);
        let others = (0..tracks.len()).filter(|at| Some(*at) != except).count();
        prop_assert_eq!(chosen.is_some(), others > 0);
        prop_assert!(chosen.is_none_or(|at| at < tracks.len() && Some(at) != except));
    }
}
