//! Programs behind proxies: small servers whose answers say what they saw.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::{Body, Frame};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};

use super::caller::{read_all, spawn};

/// A body made of frames sent through a channel; empty when the sender is gone.
pub(crate) struct Frames(mpsc::Receiver<Frame<Bytes>>);

pub(crate) type FrameSender = mpsc::Sender<Frame<Bytes>>;

pub(crate) fn frames() -> (FrameSender, Frames) {
    let (sender, receiver) = mpsc::channel(64);
    (sender, Frames(receiver))
}

pub(crate) fn whole(text: &str) -> Frames {
    let (sender, body) = frames();
    if !text.is_empty() {
        sender.try_send(Frame::data(Bytes::from(text.to_owned()))).unwrap();
    }
    body
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

/// A running program.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) requests: Arc<AtomicUsize>,
    /// Heads of the requests it saw.
    pub(crate) seen: Arc<Mutex<Vec<Parts>>>,
}

impl Program {
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn last(&self) -> Parts {
        self.seen.lock().unwrap().last().unwrap().clone()
    }

    /// The values of a field of the request it saw last.
    pub(crate) fn last_field(&self, name: &str) -> Vec<String> {
        let last = self.last();
        let values = last.headers.get_all(name).iter();
        values.map(|value| value.to_str().unwrap().to_owned()).collect()
    }
}

async fn listen() -> (TcpListener, Program) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let program = Program {
        address: listener.local_addr().unwrap(),
        connections: Arc::default(),
        requests: Arc::default(),
        seen: Arc::default(),
    };
    (listener, program)
}

/// A program that answers each request by `answer`, in HTTP/1.1 or HTTP/2.
pub(crate) async fn http<F, A>(http2: bool, answer: F) -> Program
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<Frames>> + Send + 'static,
{
    let (listener, program) = listen().await;
    let this = program.clone();
    spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            this.connections.fetch_add(1, Ordering::SeqCst);
            let (this, answer) = (this.clone(), answer.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let (parts, body) = request.into_parts();
                let mut seen = Request::new(()).into_parts().0;
                seen.method = parts.method.clone();
                seen.uri = parts.uri.clone();
                seen.version = parts.version;
                seen.headers = parts.headers.clone();
                this.seen.lock().unwrap().push(seen);
                this.requests.fetch_add(1, Ordering::SeqCst);
                let answer = answer(Request::from_parts(parts, body));
                async move { Ok::<_, Infallible>(answer.await) }
            });
            spawn(async move {
                let io = TokioIo::new(tcp);
                let ended = if http2 {
                    http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await
                } else {
                    http1::Builder::new().serve_connection(io, service).with_upgrades().await
                };
                drop(ended);
            });
        }
    });
    program
}

/// A program that answers every request with `200`, the path and the body it got.
pub(crate) async fn echo(http2: bool) -> Program {
    http(http2, |request| async move {
        let path = request.uri().path_and_query().unwrap().to_string();
        let body = read_all(request.into_body()).await.unwrap_or_default();
        Response::new(whole(&format!("{path} {}", body.len())))
    })
    .await
}

/// A program of bytes: sends back what it gets, then `bye` once the caller has finished.
pub(crate) async fn bytes() -> Program {
    let (listener, program) = listen().await;
    let this = program.clone();
    spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            this.connections.fetch_add(1, Ordering::SeqCst);
            spawn(async move {
                let mut buffer = [0; 1024];
                while let Ok(count) = tcp.read(&mut buffer).await {
                    if count == 0 {
                        tcp.write_all(b"bye").await.unwrap();
                        tcp.shutdown().await.unwrap();
                        break;
                    }
                    tcp.write_all(&buffer[..count]).await.unwrap();
                }
            });
        }
    });
    program
}

/// A program that handles each raw connection itself.
pub(crate) async fn raw<F, A>(handle: F) -> Program
where
    F: Fn(tokio::net::TcpStream, usize) -> A + Send + 'static,
    A: Future<Output = ()> + Send + 'static,
{
    let (listener, program) = listen().await;
    let this = program.clone();
    spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let number = this.connections.fetch_add(1, Ordering::SeqCst);
            spawn(handle(tcp, number));
        }
    });
    program
}
