//! What one decision costs, for callgrind: `decision POLICIES DECISIONS` builds an authorizer of that many policies and
//! asks it that many questions. The cost of one decision is the difference between two runs with equal `POLICIES`,
//! divided by the difference of `DECISIONS`; it must not depend on `POLICIES`. A third argument `memo` answers from a
//! thread's memory, as the proxy does. Without arguments it runs once, small.
//!
//! ```text
//! cargo bench -p ringfort-policy --bench decision --no-run        # prints `Executable ... (PROGRAM)`
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null PROGRAM POLICIES DECISIONS
//!                                                                 # prints `Collected : INSTRUCTIONS` on stderr
//! cost(POLICIES) = (instructions(POLICIES, 5000) - instructions(POLICIES, 0)) / 5000
//! cost(10000) / cost(10) <= 1.10
//! ```
//!
//! Measured with Cedar 4.14.1, two candidates with conditions: 54 800 instructions among 10 policies, 54 600 among
//! 10 000; from memory 1 450 and 1 480. Hash seeds differ from run to run, and building 10 000 policies varies by about
//! a million instructions with them: with fewer than 5 000 decisions that shows.

use std::{error::Error, io::Write};

use ringfort_model::{
    Name, Operation,
    snapshot::{Place, PolicyService, PolicySlice, PolicySource, Protocol},
};
use ringfort_policy::{Authorizer, HttpFacts, Memo, Question, generated};

/// How many different callers ask, whatever the number of policies.
const ASKING: usize = 8;

fn main() -> Result<(), Box<dyn Error>> {
    // `cargo bench` adds `--bench`.
    let arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let (words, numbers): (Vec<_>, Vec<_>) = arguments.partition(|argument| argument == "memo");
    let numbers =
        numbers.into_iter().map(|argument| argument.parse()).collect::<Result<Vec<usize>, _>>()?;
    let (policies, decisions) = match numbers.as_slice() {
        [policies, decisions] => (*policies, *decisions),
        _ => (100, 1000),
    };
    let service: Name = "orders".parse()?;
    let authorizer = Authorizer::new(&slice(policies, &service)?)?;
    let mut memo = (!words.is_empty()).then(Memo::new);
    let callers = (0..ASKING).map(caller).collect::<Result<Vec<Name>, _>>()?;
    let operations = ["GET /api/orders/{id}", "POST /api/orders", "DELETE /api/orders"];
    let asked = callers.iter().cycle().zip(operations.iter().cycle()).take(decisions);
    let permitted = asked.filter(|(caller, operation)| {
        let http = HttpFacts { method: "GET", host: "orders", path: "/api/orders/7" };
        let operation = Some(**operation);
        let question = Question::Call { caller, service: &service, operation, http: Some(http) };
        let verdict = match &mut memo {
            Some(memo) => authorizer.decide_with(memo, &question),
            None => authorizer.decide(&question),
        };
        verdict.is_permit()
    });
    let permitted = permitted.count();
    writeln!(std::io::stdout(), "{policies} policies, {permitted} of {decisions} permitted")?;
    Ok(())
}

fn caller(number: usize) -> Result<Name, Box<dyn Error>> {
    Ok(format!("caller-{number}").parse()?)
}

/// One permit for two operations per caller, and a guard rail that applies to all.
fn slice(policies: usize, service: &Name) -> Result<PolicySlice, Box<dyn Error>> {
    let only = [("GET", "/api/orders/{id}"), ("POST", "/api/orders")];
    let only = only.map(|(method, path)| {
        path.parse().map(|pattern| Operation::Http { method: method.to_owned(), pattern })
    });
    let only = only.into_iter().collect::<Result<Vec<Operation>, _>>()?;
    let mut slice = PolicySlice::default();
    let callee = PolicyService { protocol: Protocol::Http1, labels: Vec::new() };
    slice.services.insert(service.clone(), callee);
    slice.policies.push(source(
        0,
        "forbid (principal, action == Action::\"call\", resource) when { context.source.known_exploited };"
            .to_owned(),
    )?);
    for number in 0..policies.saturating_sub(1) {
        let caller = caller(number)?;
        let text = generated::call_permit(&caller, service, Some(&only));
        slice.policies.push(source(number.saturating_add(1), text)?);
        slice.workload_labels.insert(caller, Vec::new());
    }
    Ok(slice)
}

fn source(number: usize, text: String) -> Result<PolicySource, Box<dyn Error>> {
    let place = Place { file: "fleet.yaml".to_owned(), line: u32::try_from(number)? };
    Ok(PolicySource { id: place.to_string(), text, place, generated: true })
}
