//! The reference in `docs/` is the one the table makes.

use expect_test::expect_file;

#[test]
fn config_md_is_made_from_the_table() {
    expect_file!["../../../../docs/CONFIG.md"].assert_eq(&super::config_reference_markdown());
}
