//! Quotas and rates as small scripts.

use super::*;

/// `a` takes for caller a, `A` gives the oldest of a back; `expected` has `+` or `-` per take.
#[track_caller]
fn check(script: &str, expected: &str) {
    let quota = Quota::new(2, 3);
    let mut held: Vec<(char, Held<char>)> = Vec::new();
    let mut seen = String::new();
    for letter in script.chars() {
        let caller = letter.to_ascii_lowercase();
        if letter.is_ascii_uppercase() {
            let index = held.iter().position(|(owner, _)| *owner == caller).unwrap();
            drop(held.remove(index));
        } else if let Some(piece) = quota.take(caller) {
            held.push((caller, piece));
            seen.push('+');
        } else {
            seen.push('-');
        }
    }
    assert_eq!(seen, expected, "{script}");
    drop(held);
    let counts = lock(&quota.held);
    assert_eq!((counts.all, counts.by_caller.len()), (0, 0), "nothing is left behind");
}

#[test]
fn each_caller_and_all_together_are_limited() {
    check("aaa", "++-");
    check("aaAa", "+++");
    check("aabb", "+++-");
    check("aabAb", "++++");
    check("abcd", "+++-");
}

#[expect(clippy::disallowed_methods, reason = "the first instant of a test")]
fn epoch() -> Instant {
    Instant::now()
}

/// `a` and `b` ask, a digit passes as many hundreds of milliseconds.
#[track_caller]
fn check_rate(script: &str, expected: &str) {
    let rate = Rate::new(3);
    let mut now = epoch();
    let mut seen = String::new();
    for letter in script.chars() {
        if let Some(digit) = letter.to_digit(10) {
            now += Duration::from_millis(u64::from(digit) * 100);
        } else {
            let who = Who::User(u32::from(letter));
            seen.push(if rate.admits(&who, now) { '+' } else { '-' });
        }
    }
    assert_eq!(seen, expected, "{script}");
}

#[test]
fn a_bucket_holds_one_second_and_refills_evenly() {
    check_rate("aaaa", "+++-");
    check_rate("aaabbbb", "++++++-");
    check_rate("aaa4aa", "++++-");
    check_rate("aaa91aaaa", "++++++-");
    check_rate("aaaa2a2a2a", "+++--+-");
}

#[test]
fn a_child_counts_for_itself_and_a_stranger_for_its_user() {
    let mut facts = Selectors {
        pid: 1,
        uid: 7,
        gid: 7,
        unix_user: None,
        unix_group: None,
        exe: String::new(),
        exe_sha256: ringfort_model::Digest::new([0; 32]),
        started_as: None,
    };
    assert_eq!(Who::of(&facts), Who::User(7));
    let workload: Name = "orders".parse().unwrap();
    let started = ringfort_model::selectors::StartedAs { workload, part: Part::Proxy };
    facts.started_as = Some(started);
    assert_eq!(Who::of(&facts), Who::Child("orders".parse().unwrap(), true));
}
