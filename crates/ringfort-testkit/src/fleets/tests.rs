//! The fixture fleets are valid, in memory and on disk.

use std::fs;

use super::{bookshop, five_lines, folder};

#[test]
fn both_fleets_load() {
    for files in [five_lines(), bookshop()] {
        let loaded = ringfort_fleet::load(&files);
        assert_eq!(loaded.problems, []);
        assert!(loaded.fleet.is_some());
    }
}

#[test]
fn a_folder_holds_every_file() {
    let files = bookshop();
    let folder = folder(&files);
    for file in &files {
        assert_eq!(fs::read(folder.path().join(&file.path)).unwrap(), file.bytes);
    }
}
