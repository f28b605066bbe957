//! The ledger's protocol, line by line.

use super::Ledger;

#[test]
fn lines_are_appended_and_read() {
    let ledger = Ledger::default();
    for (line, answer) in [
        ("COUNT", "OK 0"),
        ("APPEND first line", "OK 1"),
        ("APPEND second", "OK 2"),
        ("READ 1", "OK first line"),
        ("READ 2", "OK second"),
        ("COUNT", "OK 2"),
        ("READ 3", "ERR no such line"),
        ("READ 0", "ERR no such line"),
        ("READ -1", "ERR no such line"),
        ("APPEND", "ERR nothing to append"),
        ("DROP 1", "ERR say APPEND, READ or COUNT"),
        ("GET / HTTP/1.1", "ERR say APPEND, READ or COUNT"),
        ("", "ERR say APPEND, READ or COUNT"),
    ] {
        assert_eq!(ledger.answer(line), answer, "{line}");
    }
}
