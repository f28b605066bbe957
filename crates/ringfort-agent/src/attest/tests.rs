//! Own process, children, grandchildren, strangers; processes that end or change while they are attested.

use std::{
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use ringfort_model::{Name, selectors::Part};

use super::*;
use crate::children::Registration;

/// A process of the test, ended with its whole group when the test ends.
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Self {
        Self(command.process_group(0).stdout(Stdio::piped()).spawn().unwrap())
    }

    fn peer(&self) -> Peer {
        peer_of(self.0.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
        self.0.wait().unwrap();
    }
}

/// A peer as if it had connected: what `Peer::of` makes of its socket.
fn peer_of(pid: u32) -> Peer {
    let pidfd = process::pidfd_of(pid).unwrap();
    let (uid, gid) = process::Process::open(pid).unwrap().effective_ids().unwrap();
    Peer { pid, uid, gid, pidfd }
}

fn orders() -> StartedAs {
    StartedAs { workload: "orders".parse::<Name>().unwrap(), part: Part::Program }
}

fn register(children: &Children, pid: u32) -> Registration {
    children.start(orders(), || Ok::<_, std::convert::Infallible>((pid, ()))).unwrap().0
}

#[tokio::test]
async fn a_socket_tells_this_very_process() {
    let (near, _far) = UnixStream::pair().unwrap();
    let peer = Peer::of(&near).unwrap();
    assert_eq!(peer.uid(), rustix::process::geteuid().as_raw());
    let facts = Attestor::new(Children::new()).attest(peer).unwrap();
    assert_eq!(facts.pid, std::process::id());
    assert_eq!(
        (facts.uid, facts.gid),
        (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
    );
    assert_eq!(Path::new(&facts.exe), std::env::current_exe().unwrap());
    assert_eq!(facts.started_as, None);
}

#[test]
fn a_child_and_its_children_are_attributed_to_what_was_started() {
    let children = Children::new();
    let attestor = Attestor::new(children.clone());
    // The shell forks `sleep` and prints its number; `wait` keeps the shell from replacing itself.
    let mut shell = Process::start(Command::new("sh").args(["-c", "sleep 60 & echo $!; wait"]));
    let mut line = String::new();
    let mut output = std::io::BufReader::new(shell.0.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    let grandchild: u32 = line.trim().parse().unwrap();

    let registration = register(&children, shell.0.id());
    let child = attestor.attest(shell.peer()).unwrap();
    assert_eq!(child.started_as, Some(orders()));
    let found = attestor.attest(peer_of(grandchild)).unwrap();
    assert_eq!(found.started_as, Some(orders()));

    // Control: a process of the same user that nobody registered.
    let stranger = Process::start(Command::new("sleep").arg("60"));
    assert_eq!(attestor.attest(stranger.peer()).unwrap().started_as, None);
    // And the same child once it is no longer registered.
    drop(registration);
    assert_eq!(attestor.attest(shell.peer()).unwrap().started_as, None);
}

#[test]
fn a_number_given_away_again_is_refused() {
    let children = Children::new();
    let attestor = Attestor::new(children.clone());
    let ended = Command::new("sleep").arg("60").spawn();
    let mut ended = ended.unwrap();
    let pidfd = process::pidfd_of(ended.id()).unwrap();
    ended.kill().unwrap();
    ended.wait().unwrap();
    // Attack: the number of the peer that ended belongs to a registered child now.
    let heir = Process::start(Command::new("sleep").arg("60"));
    let _registration = register(&children, heir.0.id());
    let honest = heir.peer();
    let reused = Peer { pid: honest.pid, uid: honest.uid, gid: honest.gid, pidfd };
    let refused = attestor.attest(reused).unwrap_err();
    assert!(matches!(refused, AttestPeerError::Unreadable { .. }), "{refused}");
    // Control: the heir itself.
    assert_eq!(attestor.attest(honest).unwrap().started_as, Some(orders()));
}

#[test]
fn a_peer_that_changed_its_user_is_refused() {
    let sleeper = Process::start(Command::new("sleep").arg("60"));
    let attestor = Attestor::new(Children::new());
    let mut peer = sleeper.peer();
    peer.uid = peer.uid.wrapping_add(1);
    let refused = attestor.attest(peer).unwrap_err();
    assert!(matches!(refused, AttestPeerError::Changed { .. }), "{refused}");
    attestor.attest(sleeper.peer()).unwrap();
}

#[test]
fn a_zombie_is_refused() {
    let mut child = Command::new("true").spawn().unwrap();
    let peer = peer_of_zombie(&child);
    let refused = Attestor::new(Children::new()).attest(peer).unwrap_err();
    assert!(matches!(refused, AttestPeerError::Unreadable { .. }), "{refused}");
    child.wait().unwrap();
}

/// Waits on the pidfd until the child has ended, without collecting it.
fn peer_of_zombie(child: &Child) -> Peer {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd as _;
    let pidfd = process::pidfd_of(child.id()).unwrap();
    let mut waits = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut waits, PollTimeout::NONE), Ok(1));
    Peer {
        pid: child.id(),
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        pidfd,
    }
}
