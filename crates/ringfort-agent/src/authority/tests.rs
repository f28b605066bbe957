//! Requests of clients that send odd authorities, whole and in pieces, and bytes that are no HTTP/2.

use http::{HeaderMap, Method, Uri, Version};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[a, b, c, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Feeds bytes in pieces of this size behind a preface, and returns what comes after it.
fn rewritten(bytes: &[u8], piece: usize) -> Result<Vec<u8>, Broken> {
    let mut rewriter = Rewriter::Pass(PREFACE_BYTES);
    let mut to = Vec::new();
    for piece in [PREFACE, bytes].concat().chunks(piece) {
        rewriter.take(piece, &mut to)?;
    }
    assert_eq!(to[..24], PREFACE[..]);
    Ok(to.split_off(24))
}

#[track_caller]
fn check(bytes: &[u8], expected: Result<&[u8], Broken>) {
    for piece in [1, 2, 7, 10_000] {
        assert_eq!(rewritten(bytes, piece), expected.map(<[u8]>::to_vec), "in pieces of {piece}");
    }
}

/// `:method: POST` and `:scheme: http` from the static table, and a literal path.
const AROUND: [&[u8]; 2] = [b"\x83\x86", b"\x44\x02/p"];

#[test]
fn each_literal_authority_is_replaced_whatever_its_form() {
    let path = b"%2Frun%2Fworkload.sock";
    let length = u8::try_from(path.len()).unwrap();
    let spelt: [&[u8]; 2] = [b"\x0a:authority", b"\x88\xb8\x3b\x53\x39\xec\x32\x7d\x7f"];
    let indexed = [&[0x41][..], &[0x01], &[0x11]].map(<[u8]>::to_vec);
    let by_name =
        spelt.iter().flat_map(|name| [0x40, 0x00, 0x10].map(|form| [&[form], *name].concat()));
    for name in indexed.into_iter().chain(by_name) {
        // The value as it is, and said to be in the code of Huffman.
        for huffman in [0, 0x80] {
            let literal = [&name[..], &[huffman | length], &path[..]].concat();
            let sent = frame(HEADERS, 0x5, 1, &[AROUND[0], &literal, AROUND[1]].concat());
            let plain = [AROUND[0], &name[..], &[1, b'x'], AROUND[1]].concat();
            check(&sent, Ok(&frame(HEADERS, 0x5, 1, &plain)));
        }
    }
}

#[test]
fn everything_else_passes_as_it_is() {
    // A long literal name and value, an entry of the table, a new size of it, an empty authority.
    let name = [b"\x40\x7f\x01".to_vec(), vec![b'n'; 128], b"\x01v".to_vec()].concat();
    let fields = [&b"\x3f\xe1\x1f\xbe\x82"[..], &name, b"\x0f\x2b\x03abc\x41\x00\x41\x80"].concat();
    let all = [
        frame(4, 0, 0, &[0; 12]),
        frame(HEADERS, 0x4, 3, &fields),
        frame(0, 1, 3, b"\x41\x01/data is not looked into"),
        frame(8, 0, 0, &[0, 0, 0, 9]),
        frame(0xfe, 0xff, 9, b"unknown"),
        frame(6, 1, 0, &[]),
    ];
    check(&all.concat(), Ok(&all.concat()));
}

#[test]
fn padding_priority_and_continuations_become_one_frame() {
    let plain = frame(HEADERS, 0x5, 5, b"\x83\x41\x01x\x86");
    let padded = [&[2, 0, 0, 0, 0, 16][..], b"\x83\x41\x03a/b\x86", &[0, 0]].concat();
    check(&frame(HEADERS, 0x2d, 5, &padded), Ok(&plain));
    let parts =
        [frame(HEADERS, 0x1, 5, b"\x83\x41"), frame(9, 0, 5, b"\x03a/"), frame(9, 4, 5, b"b\x86")];
    check(&parts.concat(), Ok(&plain));
}

#[test]
fn what_is_no_http2_is_refused() {
    // A string longer than the rest, an endless integer, a frame too large, a broken row of continuations.
    check(&frame(HEADERS, 0x4, 1, b"\x41\x05/x"), Err(Broken));
    check(&frame(HEADERS, 0x4, 1, b"\xff\xff\xff\xff\xff\xff\x01"), Err(Broken));
    check(&frame(HEADERS, 0x4, 1, b""), Err(Broken));
    check(&frame(HEADERS, 0xc, 1, b"\x09\x82"), Err(Broken));
    check(&[0, 0x40, 1, 0, 0, 0, 0, 0, 1, 0], Err(Broken));
    let broken = [frame(HEADERS, 0, 1, b"\x82"), frame(0, 0, 1, b"x")].concat();
    check(&broken, Err(Broken));
    let foreign = [frame(HEADERS, 0, 1, b"\x82"), frame(9, 4, 3, b"\x82")].concat();
    check(&foreign, Err(Broken));
    let endless = [frame(HEADERS, 0, 1, b"\x82"), frame(9, 0, 1, b"")].concat();
    check(&endless, Err(Broken));
    let large = [frame(HEADERS, 0, 1, &[0x82; 16_000]), frame(9, 4, 1, &[0x82; 1000])].concat();
    check(&large, Err(Broken));
}

proptest! {
    #[test]
    fn any_bytes_are_rewritten_alike_in_any_pieces(
        bytes in prop::collection::vec(any::<u8>(), 0..300), piece in 1_usize..50,
    ) {
        prop_assert_eq!(rewritten(&bytes, piece), rewritten(&bytes, 10_000));
    }

    #[test]
    fn any_fields_are_no_longer_than_before(fields in prop::collection::vec(any::<u8>(), 1..300)) {
        if let Ok(plain) = with_plain_authority(&fields) {
            prop_assert!(plain.len() <= fields.len());
            prop_assert_eq!(with_plain_authority(&plain), Ok(plain));
        }
    }
}

/// Many requests with changing fields on one connection: the tables of both sides fill up and must keep step.
#[tokio::test]
async fn h2_reads_every_request_of_a_long_connection() {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let tracker = tokio_util::task::TaskTracker::new();
    let served = tracker.spawn(async move {
        let service = hyper::service::service_fn(async |request: http::Request<_>| {
            let (parts, _body): (_, hyper::body::Incoming) = request.into_parts();
            assert_eq!(parts.uri.authority().unwrap(), "x");
            let mut response = http::Response::new(http_body_util::Empty::<bytes::Bytes>::new());
            for name in ["first", "second"] {
                response.headers_mut().insert(name, parts.headers[name].clone());
            }
            Ok::<_, std::convert::Infallible>(response)
        });
        let io = hyper_util::rt::TokioIo::new(PlainAuthority::new(far));
        let executor = hyper_util::rt::TokioExecutor::new();
        hyper::server::conn::http2::Builder::new(executor).serve_connection(io, service).await
    });
    let io = hyper_util::rt::TokioIo::new(near);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tracker.spawn(connection);
    for number in 0..600 {
        let mut request = http::Request::new(http_body_util::Empty::<bytes::Bytes>::new());
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        // Authorities and fields that repeat now and then, so that entries are made, used and dropped.
        let host = format!("h{}.{}", number % 7, "long".repeat(number % 23));
        *request.uri_mut() = Uri::try_from(format!("http://{host}/")).unwrap();
        let fields = request.headers_mut();
        fields.insert(
            "first",
            format!("{}-{}", number % 3, "f".repeat(number % 97)).parse().unwrap(),
        );
        fields.insert("second", format!("{number}").parse().unwrap());
        let expected: HeaderMap = fields.clone();
        sender.ready().await.unwrap();
        let response = sender.send_request(request).await.unwrap();
        for name in ["first", "second"] {
            assert_eq!(response.headers()[name], expected[name], "request {number}");
        }
    }
    drop(sender);
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_socket_reads_rewritten_and_writes_as_it_is() {
    let (mut near, far) = tokio::io::duplex(1024);
    let mut socket = PlainAuthority::new(far);
    let sent = frame(HEADERS, 0x4, 1, b"\x41\x02//");
    near.write_all(&[PREFACE, &sent[..]].concat()).await.unwrap();
    near.shutdown().await.unwrap();
    let mut read = [0; 24 + 9 + 3];
    socket.read_exact(&mut read).await.unwrap();
    assert_eq!(read[24..], frame(HEADERS, 0x4, 1, b"\x41\x01x")[..]);
    assert_eq!(socket.read(&mut read).await.unwrap(), 0);
    socket.write_all(b"answer").await.unwrap();
    let mut answer = [0; 6];
    near.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"answer");
}
