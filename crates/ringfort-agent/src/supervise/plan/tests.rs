//! What one plan changes against another.

use super::*;

/// A plan in words: `role:name=program` separated by spaces.
fn plan(words: &str) -> BTreeMap<ChildKey, ChildSpec> {
    plan_of(words.split_whitespace().map(spec).collect()).unwrap()
}

fn spec(word: &str) -> ChildSpec {
    let (key, program) = word.split_once('=').unwrap();
    let (role, name) = key.split_once(':').unwrap();
    let role = match role {
        "gateway" => Role::Gateway,
        "sidecar" => Role::Sidecar,
        "program" => Role::Program,
        "server" => Role::Server,
        other => panic!("no role `{other}`"),
    };
    ChildSpec {
        key: ChildKey { role, name: name.parse().unwrap() },
        program: PathBuf::from(program),
        args: Vec::new(),
        env: BTreeMap::new(),
        dir: None,
        user: None,
        ready_socket: None,
        grace: Duration::from_secs(1),
    }
}

#[track_caller]
fn check(old: &str, new: &str, stop: &str, start: &str) {
    let change = change(&plan(old), &plan(new));
    let join = |keys: Vec<String>| keys.join(" ");
    assert_eq!(join(change.stop.iter().map(ToString::to_string).collect()), stop, "stop");
    assert_eq!(join(change.start.iter().map(|s| s.key.to_string()).collect()), start, "start");
}

#[test]
fn only_what_differs_is_touched() {
    let base = "server:server=s sidecar:orders=p program:orders=o";
    check("", base, "", "orders/proxy orders server");
    check(base, base, "", "");
    check(base, "server:server=s sidecar:orders=p program:orders=o2", "orders", "orders");
    check(base, "server:server=s", "orders/proxy orders", "");
    check(base, &format!("{base} gateway:web=p"), "", "web");
}

#[test]
fn stops_go_from_the_edge_inwards() {
    check(
        "server:a=s program:b=o sidecar:c=p gateway:d=p gateway:a=p sidecar:b=p",
        "",
        "a d b/proxy c/proxy b a",
        "",
    );
}

#[test]
fn one_child_twice_is_refused() {
    let twice = vec![spec("program:orders=a"), spec("program:orders=b")];
    let key = ChildKey { role: Role::Program, name: "orders".parse().unwrap() };
    assert_eq!(plan_of(twice), Err(SetPlanError::Duplicate { key }));
}
