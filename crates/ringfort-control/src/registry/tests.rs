//! Lists of endpoints as streams come, break and return. Time is in seconds from a common start.

use super::*;

struct World {
    registry: Registry,
    start: Instant,
}

impl World {
    fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the first instant of a simulation")]
        let start = Instant::now();
        Self { registry: Registry::default(), start }
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    fn hear(&mut self, id: &str, stream: u64, port: u16, draining: bool) -> Listed {
        let workload: Name = id.split_once('@').unwrap().0.parse().unwrap();
        let class = format!("spiffe://shop/svc/{workload}").parse().unwrap();
        let report = Report {
            revision: Revision::new(1),
            digest: None,
            certificate_not_after: WallTime::from_unix(Duration::ZERO),
            state: String::new(),
            nack: String::new(),
            heard_at: WallTime::from_unix(Duration::ZERO),
        };
        let address = (port != 0).then(|| SocketAddr::from(([127, 0, 0, 1], port)));
        let stream = StreamId(stream);
        let labels = BTreeMap::new();
        let joining = Joining { stream, workload, class, address, labels, draining, report };
        self.registry.hear(id, joining)
    }

    /// Ports of a service, in order.
    #[track_caller]
    fn check(&self, service: &str, expected: &[u16]) {
        let lists = self.registry.endpoints();
        let list = lists.get(service).map(Vec::as_slice).unwrap_or_default();
        let ports: Vec<_> = list.iter().map(|endpoint| endpoint.address.port()).collect();
        assert_eq!(ports, expected);
    }
}

#[test]
fn an_instance_is_listed_while_its_stream_lives_and_a_minute_longer() {
    let mut world = World::new();
    assert_eq!(world.hear("orders@a", 1, 10, false), Listed::Put);
    assert_eq!(world.hear("orders@b", 2, 20, false), Listed::Put);
    assert_eq!(world.hear("orders@b", 2, 20, false), Listed::Same);
    world.check("orders", &[10, 20]);
    assert_eq!(world.registry.others("orders@a"), 1);
    world.registry.lose("orders@a", StreamId(1), world.at(100));
    world.check("orders", &[10, 20]);
    assert_eq!(world.registry.next_deadline(), Some(world.at(160)));
    assert_eq!(world.registry.expire(world.at(159)), Vec::<String>::new());
    assert_eq!(world.registry.expire(world.at(160)), ["orders@a"]);
    world.check("orders", &[20]);
}

#[test]
fn a_list_never_empties_because_streams_broke() {
    let mut world = World::new();
    world.hear("orders@a", 1, 10, false);
    world.hear("orders@b", 2, 20, false);
    world.registry.lose("orders@a", StreamId(1), world.at(0));
    world.registry.lose("orders@b", StreamId(2), world.at(0));
    assert_eq!(world.registry.expire(world.at(1000)), ["orders@a"]);
    world.check("orders", &[20]);
    assert_eq!(world.registry.next_deadline(), None);
    world.hear("orders@c", 3, 30, false);
    assert_eq!(world.registry.expire(world.at(1000)), ["orders@b"]);
    world.check("orders", &[30]);
}

#[test]
fn a_returning_instance_is_not_expired() {
    let mut world = World::new();
    world.hear("orders@a", 1, 10, false);
    world.hear("orders@b", 2, 20, false);
    world.registry.lose("orders@a", StreamId(1), world.at(0));
    assert_eq!(world.hear("orders@a", 3, 10, false), Listed::Same);
    assert_eq!(world.registry.expire(world.at(1000)), Vec::<String>::new());
    assert_eq!(world.hear("orders@a", 3, 11, false), Listed::Put, "it moved");
    world.check("orders", &[11, 20]);
}

#[test]
fn an_earlier_stream_says_nothing_any_more() {
    let mut world = World::new();
    world.hear("orders@a", 1, 10, false);
    world.hear("orders@a", 2, 11, false);
    assert_eq!(world.hear("orders@a", 1, 10, false), Listed::Same);
    world.registry.lose("orders@a", StreamId(1), world.at(0));
    world.check("orders", &[11]);
    assert_eq!(world.registry.next_deadline(), None);
}

#[test]
fn a_draining_instance_leaves_at_once() {
    let mut world = World::new();
    world.hear("orders@a", 1, 10, false);
    assert_eq!(world.hear("orders@a", 1, 10, true), Listed::Removed);
    world.check("orders", &[]);
    assert_eq!(world.hear("orders@a", 1, 10, true), Listed::Same);
    world.registry.lose("orders@a", StreamId(1), world.at(0));
    assert!(world.registry.entries().is_empty());
    assert_eq!(world.hear("orders@a", 2, 10, false), Listed::Put, "and may come back");
}

#[test]
fn gateways_are_known_and_never_listed() {
    let mut world = World::new();
    assert_eq!(world.hear("public@a", 1, 0, false), Listed::Same);
    world.check("public", &[]);
    assert_eq!(world.registry.entries().len(), 1);
    world.registry.lose("public@a", StreamId(1), world.at(0));
    assert!(world.registry.entries().is_empty());
}

#[test]
fn a_restart_keeps_the_lists_for_a_minute() {
    let mut world = World::new();
    for (id, port) in [("orders@a", 10), ("orders@b", 20)] {
        world.hear(id, 1, port, false);
        let entry = world.registry.entries()[id].clone();
        let now = world.at(0);
        world.registry.restore(id.to_owned(), entry, now);
    }
    world.check("orders", &[10, 20]);
    world.hear("orders@a", 1, 10, false);
    assert_eq!(world.registry.expire(world.at(59)), Vec::<String>::new());
    assert_eq!(world.registry.expire(world.at(60)), ["orders@b"]);
    world.check("orders", &[10]);
}

#[test]
fn what_left_the_fleet_is_forgotten() {
    let mut world = World::new();
    world.hear("orders@a", 1, 10, false);
    world.hear("web@a", 2, 20, false);
    let gone = world.registry.keep(|class| class.as_str().ends_with("/web"));
    assert_eq!(gone, ["orders@a"]);
    world.check("orders", &[]);
    world.check("web", &[20]);
}

#[test]
fn a_workload_has_a_bounded_number_of_instances() {
    let mut world = World::new();
    for number in 0..INSTANCES_MAX {
        let port = u16::try_from(number + 1).unwrap();
        assert_eq!(world.hear(&format!("orders@h{number}"), 1, port, false), Listed::Put);
    }
    assert_eq!(world.hear("orders@more", 1, 9999, false), Listed::Same);
    assert!(!world.registry.is_listed("orders@more"));
    assert_eq!(world.hear("web@more", 1, 9999, false), Listed::Put, "others are not concerned");
    assert_eq!(world.hear("orders@h0", 1, 7, false), Listed::Put, "known ones still move");
}
