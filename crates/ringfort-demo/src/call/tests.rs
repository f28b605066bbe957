//! Where a program finds its callees, by its variables.

use super::Upstreams;

#[track_caller]
fn check(variables: &[(&str, &str)], expected: Result<&str, &str>) {
    let read = Upstreams::read(|name| {
        variables
            .iter()
            .find(|(variable, _)| *variable == name)
            .map(|(_, value)| (*value).to_owned())
    });
    let seen = match &read {
        Ok(upstreams) => {
            let ports = upstreams.ports.iter().map(|(name, address)| format!("{name}={address}"));
            let proxy = upstreams.http_proxy.iter().map(|address| format!("proxy={address}"));
            Ok(ports.chain(proxy).collect::<Vec<_>>().join(" "))
        }
        Err(error) => Err(error.to_string()),
    };
    let seen = seen.as_deref().map_err(String::as_str);
    assert_eq!(seen, expected, "{variables:?}");
}

#[test]
fn variables_name_addresses() {
    check(&[], Ok(""));
    check(&[("PAYMENTS", "127.0.0.1:7413"), ("OTHER", "x")], Ok("payments=127.0.0.1:7413"));
    check(&[("HTTP_PROXY", "http://127.0.0.1:7412")], Ok("proxy=127.0.0.1:7412"));
    check(&[("HTTP_PROXY", "http://127.0.0.1:7412/")], Ok("proxy=127.0.0.1:7412"));
    check(&[("HTTP_PROXY", "https://proxy")], Err("`HTTP_PROXY` is no address: `https://proxy`"));
    check(&[("LEDGER", "ledger:7405")], Err("`LEDGER` is no address: `ledger:7405`"));
}
