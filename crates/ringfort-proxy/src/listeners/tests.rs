//! Plans, and that a failure leaves no socket behind.

use super::*;

fn outbound(name: &str) -> ListenerKey {
    ListenerKey::Outbound(name.parse().unwrap())
}

fn sockets(list: &[(&str, &str)]) -> BTreeMap<ListenerKey, SocketAddr> {
    list.iter().map(|(name, at)| (outbound(name), at.parse().unwrap())).collect()
}

#[track_caller]
fn check(wanted: &[(&str, &str)], have: &[(&str, &str)], open: &[&str], close: &[&str]) {
    let plan = plan(&sockets(wanted), &sockets(have));
    let names = |names: &[&str]| names.iter().map(|name| outbound(name)).collect::<Vec<_>>();
    assert_eq!(plan.open.keys().cloned().collect::<Vec<_>>(), names(open));
    assert_eq!(plan.close, names(close));
}

#[test]
fn only_what_differs_changes() {
    let (a, b) = ("127.0.0.1:1001", "127.0.0.1:1002");
    check(&[("a", a)], &[], &["a"], &[]);
    check(&[("a", a)], &[("a", a)], &[], &[]);
    check(&[("a", b)], &[("a", a)], &["a"], &["a"]);
    check(&[], &[("a", a)], &[], &["a"]);
    check(&[("a", "127.0.0.1:0")], &[("a", a)], &[], &[]);
    check(&[("a", "127.0.0.2:0")], &[("a", a)], &["a"], &["a"]);
}

#[test]
fn a_taken_port_fails_and_frees_the_others() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken_at = taken.local_addr().unwrap().to_string();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let free_at = free.local_addr().unwrap().to_string();
    drop(free);
    let wanted = sockets(&[("a", &free_at), ("b", &taken_at)]);
    let error = bind_all(&wanted, &BTreeMap::new(), 2).unwrap_err();
    assert_eq!(error.address.to_string(), taken_at);
    drop(taken);
    let bound = bind_all(&wanted, &BTreeMap::new(), 2).unwrap();
    assert_eq!(bound.len(), 2);
    assert!(bound.iter().all(|bound| bound.sockets.len() == 2));
}

#[test]
fn an_mtls_port_moves_rather_than_fails() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let wanted = BTreeMap::from([(ListenerKey::Inbound, taken.local_addr().unwrap())]);
    let bound = bind_all(&wanted, &BTreeMap::new(), 1).unwrap();
    assert_ne!(bound[0].address, taken.local_addr().unwrap());
}
