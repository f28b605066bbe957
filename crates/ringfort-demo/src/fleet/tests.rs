//! The shop's files with other ports.

use super::{ShopPorts, fleet_files};

fn yaml(ports: &ShopPorts, program: &str) -> String {
    let files = fleet_files(ports, program);
    String::from_utf8(files[0].1.clone()).unwrap()
}

#[test]
fn the_files_as_they_stand_keep_their_ports() {
    let text = yaml(&ShopPorts::WRITTEN, "ringfort");
    assert_eq!(text.replace("[\"ringfort\"", "[ringfort"), super::SHOP_YAML);
}

#[test]
fn every_port_is_replaced_and_nothing_else() {
    let ports = ShopPorts::from_base(20_000).unwrap();
    let text = yaml(&ports, "/opt/a \"b\"\\ringfort");
    for (new, old) in ports.list().iter().zip(ShopPorts::WRITTEN.list()) {
        assert!(text.contains(&new.to_string()), "{new} is missing");
        assert!(!text.contains(&old.to_string()), "{old} is left");
    }
    assert!(
        text.contains("[\"/opt/a \\\"b\\\"\\\\ringfort\", demo-service, web, --port, \"20003\"]")
    );
    for kept in ["16KiB", "6s", "127.0.0.1", "100%", "ttl: 1h", "ringfort: v1"] {
        assert!(text.contains(kept), "{kept}");
    }
}

#[test]
fn overlapping_ranges_are_replaced_once() {
    let ports = ShopPorts::from_base(7400).unwrap();
    let text = yaml(&ports, "ringfort");
    assert!(text.contains("bind: \"127.0.0.1:7400\"") && text.contains("listen: 7403\n"));
}

#[test]
fn ports_end_at_65535() {
    assert!(ShopPorts::from_base(65_524).is_some());
    assert!(ShopPorts::from_base(65_525).is_none());
}
