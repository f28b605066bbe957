//! Texts of several proxies as one.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(sources: &[(&str, &str)], expected: &str, left_out: u64) {
    let sources: Vec<_> = sources.iter().map(|(service, text)| Source { service, text }).collect();
    let merged = merge(&sources);
    assert_eq!(merged.text, expected);
    assert_eq!(merged.left_out, left_out);
}

const HEAD: &str = "# HELP requests Requests served.\n# TYPE requests counter\n";

#[test]
fn a_family_is_described_once_with_all_samples_together() {
    let orders = format!("{HEAD}requests_total{{code=\"200\"}} 3\n# TYPE up gauge\nup 1\n# EOF\n");
    let billing = format!("{HEAD}requests_total{{code=\"500\"}} 1\n# EOF\n");
    check(
        &[("orders", &orders), ("billing", &billing)],
        "# TYPE requests counter\n# HELP requests Requests served.\n\
         requests_total{service=\"orders\",code=\"200\"} 3\n\
         requests_total{service=\"billing\",code=\"500\"} 1\n\
         # TYPE up gauge\nup{service=\"orders\"} 1\n",
        0,
    );
}

#[test]
fn all_kinds_of_samples_stay_with_their_family() {
    let text = "# TYPE d histogram\n# UNIT d seconds\n# HELP d D.\n\
        d_bucket{le=\"0.1\"} 1 # {trace_id=\"x\"} 0.05\nd_bucket{le=\"+Inf\"} 2\nd_sum 0.3\nd_count 2\n\
        # TYPE b info\nb_info{version=\"1\"} 1\n# EOF\n";
    check(
        &[("a", text)],
        "# TYPE b info\nb_info{service=\"a\",version=\"1\"} 1\n\
         # TYPE d histogram\n# UNIT d seconds\n# HELP d D.\n\
         d_bucket{service=\"a\",le=\"0.1\"} 1 # {trace_id=\"x\"} 0.05\n\
         d_bucket{service=\"a\",le=\"+Inf\"} 2\nd_sum{service=\"a\"} 0.3\nd_count{service=\"a\"} 2\n",
        0,
    );
}

#[test]
fn values_with_braces_quotes_and_commas_end_nothing() {
    let text = "x{a=\"}\",b=\"q\\\"},service=\\\\\"} 1 1700000000\n";
    check(
        &[("s\"1", text)],
        "x{service=\"s\\\"1\",a=\"}\",b=\"q\\\"},service=\\\\\"} 1 1700000000\n",
        0,
    );
}

#[test]
fn a_label_called_service_is_kept_under_another_name() {
    check(
        &[("a", "x{service=\"z\"} 1\nx{b=\"1\",service=\"z\"} 2\nx{b=\",service=\"} 3\n")],
        "x{service=\"a\",exported_service=\"z\"} 1\n\
         x{service=\"a\",b=\"1\",exported_service=\"z\"} 2\nx{service=\"a\",b=\",service=\"} 3\n",
        0,
    );
}

#[test]
fn a_family_of_another_type_is_left_out_and_counted() {
    check(
        &[
            ("a", "# TYPE x gauge\nx 1\n"),
            ("b", "# TYPE x counter\nx_total 1\n# TYPE y gauge\ny 2\n"),
        ],
        "# TYPE x gauge\nx{service=\"a\"} 1\n# TYPE y gauge\ny{service=\"b\"} 2\n",
        2,
    );
}

#[test]
fn what_is_no_sample_is_left_out_and_counted() {
    let text =
        "<html>\nx\nx{\nx{} \nx{} one\n9x 1\n# note\n# TYPE\n\nx{} 1\nx{a=\"1\",} NaN\n# EOF\n";
    check(&[("a", text)], "x{service=\"a\"} 1\nx{service=\"a\",a=\"1\"} NaN\n", 8);
    check(&[("a", ""), ("b", "# EOF")], "", 0);
}

proptest! {
    #[test]
    fn any_text_gives_whole_lines_with_the_label(texts in prop::collection::vec("(?s).{0,200}", 0..4)) {
        let sources: Vec<_> = texts.iter().map(|text| Source { service: "s", text }).collect();
        let merged = merge(&sources);
        for line in merged.text.lines() {
            let is_sample = line.contains("{service=\"s\"") && split(line).is_some();
            prop_assert!(line.starts_with("# ") || is_sample, "{line}");
        }
        // Once merged, always mergeable: nothing is left out the second time.
        let again = merge(&[Source { service: "t", text: &merged.text }]);
        prop_assert_eq!(again.left_out, 0);
    }
}
