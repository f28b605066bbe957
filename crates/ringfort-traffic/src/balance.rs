//! Which instance of a service answers: first the subset by weight, then the less busy of two at random.
//!
//! # Source
//! Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001: with two choices the longest queue
//! grows with log log n, and no instance that looks idle is stormed.

use std::collections::BTreeMap;

use ringfort_model::snapshot::{Endpoint, Subset};

/// The instances of one service, grouped by its subsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balancer {
    /// Share in percent and members of each subset that has instances and a share.
    subsets: Vec<(u8, Vec<usize>)>,
    /// Instances outside every subset; all of them when there is none.
    rest: Vec<usize>,
    count: usize,
}

impl Balancer {
    /// Groups the endpoints. A subset without instances leaves its share to the rest.
    #[must_use]
    pub fn new(subsets: &[Subset], endpoints: &[Endpoint]) -> Self {
        let all = || 0..endpoints.len();
        let is_in = |subset: &Subset, index: usize| {
            endpoints.get(index).is_some_and(|it| carries(&it.labels, &subset.labels))
        };
        let groups = subsets.iter().map(|subset| {
            (subset.weight.as_u8(), all().filter(|index| is_in(subset, *index)).collect::<Vec<_>>())
        });
        let mut rest: Vec<usize> =
            all().filter(|index| !subsets.iter().any(|subset| is_in(subset, *index))).collect();
        if rest.is_empty() {
            rest = all().collect();
        }
        let subsets =
            groups.filter(|(weight, members)| *weight > 0 && !members.is_empty()).collect();
        Self { subsets, rest, count: endpoints.len() }
    }

    /// Chooses an endpoint by its place in the list given to [`Balancer::new`]; `None` when there is none.
    ///
    /// `random` is uniform over all 64 bits. `in_flight` says how many requests an endpoint is answering. `except`
    /// was tried already and is never chosen again.
    pub fn choose(
        &self,
        random: u64,
        except: Option<usize>,
        in_flight: impl Fn(usize) -> u32,
    ) -> Option<usize> {
        let (percent, random) = (random % 100, random / 100);
        let chosen = two_choices(self.group(percent), random, except, &in_flight);
        chosen.or_else(|| {
            let all: Vec<usize> = (0..self.count).collect();
            two_choices(&all, random, except, &in_flight)
        })
    }

    /// The group whose share contains `percent` (0 to 99).
    fn group(&self, percent: u64) -> &[usize] {
        let mut upper = 0_u64;
        for (weight, members) in &self.subsets {
            upper = upper.saturating_add(u64::from(*weight));
            if percent < upper {
                return members;
            }
        }
        &self.rest
    }
}

/// The less busy of two different members drawn at random, without `except`.
fn two_choices(
    members: &[usize],
    random: u64,
    except: Option<usize>,
    in_flight: &impl Fn(usize) -> u32,
) -> Option<usize> {
    let hole = except.and_then(|except| members.iter().position(|member| *member == except));
    let count = members.len().saturating_sub(usize::from(hole.is_some()));
    // The `at`-th member when the excepted one is left out.
    let member = |at: usize| {
        let skip = hole.is_some_and(|hole| at >= hole);
        members.get(at.saturating_add(usize::from(skip))).copied()
    };
    let draw = |random: u64, count: usize| -> Option<usize> {
        let place = random.checked_rem(u64::try_from(count).ok()?)?;
        usize::try_from(place).ok()
    };
    let first = draw(random, count)?;
    let random = random / u64::try_from(count).ok()?;
    let Some(second) = draw(random, count.saturating_sub(1)) else { return member(first) };
    let second = if second >= first { second.saturating_add(1) } else { second };
    let (first, second) = (member(first)?, member(second)?);
    Some(if in_flight(second) < in_flight(first) { second } else { first })
}

fn carries(labels: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
}

#[cfg(test)]
mod tests;
