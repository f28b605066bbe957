use crate::tidy::tests::check;

const PATH: &str = "crates/ringfort-traffic/Cargo.toml";
const LIB: (&str, &str) = ("crates/ringfort-traffic/src/lib.rs", "");
const CLEAN: &str = "[package]\nname = \"ringfort-traffic\"\nversion.workspace = true\n\
    edition.workspace = true\nrust-version.workspace = true\nlicense.workspace = true\n\
    publish.workspace = true\n\n[lib]\ndoctest = false\n\n[lints]\nworkspace = true\n";

#[test]
fn a_manifest_inherits() {
    for (without, expected) in [
        ("version.workspace = true\n", "`[package]` needs `version.workspace = true`"),
        ("publish.workspace = true\n", "`[package]` needs `publish.workspace = true`"),
        ("doctest = false\n", "a library says `[lib] doctest = false`"),
        ("[lints]\nworkspace = true\n", "`[lints] workspace = true` is missing"),
    ] {
        // `rust-version` ends with `version`: take the whole line.
        let fault = CLEAN.replacen(&format!("\n{without}"), "\n", 1);
        check("T8", &[(PATH, CLEAN), LIB], (PATH, &fault), &format!("{PATH}: T8: {expected}"));
    }
}

#[test]
fn a_manifest_has_no_features_profiles_or_build_script() {
    for (with, expected) in [
        ("[features]\n", "14: T8: no `[features]`: no feature changes behaviour"),
        ("[profile.dev]\n", "14: T8: no `[profile]` outside the root manifest: cargo ignores it"),
        ("[package]\nbuild = \"x.rs\"\n", "15: T8: no build script"),
    ] {
        let fault = format!("{CLEAN}{with}");
        check("T8", &[(PATH, CLEAN), LIB], (PATH, &fault), &format!("{PATH}:{expected}"));
    }
    let script = ("crates/ringfort-traffic/build.rs", "fn main() {}\n");
    let expected = format!("{}: T8: no `build.rs`: commit what it would generate", script.0);
    check("T8", &[(PATH, CLEAN), LIB], script, &expected);
}

#[test]
fn wire_has_lints_of_its_own_and_still_forbids_unsafe() {
    let wire = "crates/ringfort-wire/Cargo.toml";
    let own =
        CLEAN.replace("[lints]\nworkspace = true\n", "[lints.rust]\nunsafe_code = \"forbid\"\n");
    let fault = own.replace("forbid", "warn");
    let expected = format!("{wire}: T8: `[lints] workspace = true` is missing");
    check("T8", &[(wire, &own)], (wire, &fault), &expected);
    let other = format!("{PATH}: T8: `[lints] workspace = true` is missing");
    check("T8", &[(PATH, CLEAN)], (PATH, &own), &other);
}
