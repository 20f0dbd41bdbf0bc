//! `/healthz`, `/readyz` and `/metrics`, and nothing else. Small on purpose: what is asked, how long it may take and how many
//! may ask at once is bounded.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::Status;
use crate::error::{Error, Result};
use crate::metrics;

const CONNECTIONS: usize = 16;
/// Of the request line with all headers.
const REQUEST_BYTES: usize = 8 * 1024;
const HEADERS: usize = 32;
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// From accepting a connection to closing it.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Before the next attempt where a connection could not be accepted: no descriptor is free.
const PAUSE: Duration = Duration::from_millis(100);
const PLAIN: &str = "text/plain; charset=utf-8";

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    task: JoinHandle<()>,
    wanted: SocketAddr,
    address: SocketAddr,
}

impl Server {
    /// Listens there.
    ///
    /// # Errors
    /// Exit code 2: the port is in use, or the address is none of this machine's.
    pub async fn start(wanted: SocketAddr, status: Arc<Status>) -> Result<Self> {
        let refuse = |error: std::io::Error| refused(wanted, &error);
        let listener = TcpListener::bind(wanted).await.map_err(refuse)?;
        let address = listener.local_addr().map_err(refuse)?;
        let task = tokio::spawn(accept(listener, status));
        Ok(Self {
            task,
            wanted,
            address,
        })
    }

    /// What was asked for.
    #[must_use]
    pub fn wanted(&self) -> SocketAddr {
        self.wanted
    }

    /// Where it listens: with port 0 the system has chosen one.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn refused(address: SocketAddr, error: &std::io::Error) -> Error {
    let port = address.port();
    let hint = match error.kind() {
        std::io::ErrorKind::AddrInUse => format!(
            "Another program, perhaps another daemon, has this port: `ss -ltnp 'sport = :{port}'` names it. Stop it, or give another \
             address with --listen, or \"\" for none."
        ),
        std::io::ErrorKind::AddrNotAvailable => {
            "No interface of this machine has this address: correct --listen.".into()
        }
        std::io::ErrorKind::PermissionDenied => {
            "Ports below 1024 are for root: give another one with --listen.".into()
        }
        _ => "Give another address with --listen, or \"\" for none.".into(),
    };
    Error::Usage {
        message: format!("could not listen on {address}: {error}"),
        hint,
    }
}

async fn accept(listener: TcpListener, status: Arc<Status>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    // More than that wait in the kernel's queue, which is bounded, too.
    while let Ok(place) = places.clone().acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let status = status.clone();
        tokio::spawn(async move {
            // A client that breaks off, is too slow or talks something else gets no more than that.
            let _ = tokio::time::timeout(CONNECTION_TIMEOUT, serve(stream, status)).await;
            drop(place);
        });
    }
}

async fn serve(stream: TcpStream, status: Arc<Status>) -> hyper::Result<()> {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer(&request, &status);
        async move { Ok::<_, Infallible>(answer) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(REQUEST_BYTES)
        .max_headers(HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn answer(request: &Request<Incoming>, status: &Status) -> Response<Full<Bytes>> {
    let is_known = matches!(request.uri().path(), "/healthz" | "/readyz" | "/metrics");
    if is_known && !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".into());
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/healthz" => verdict(status.alive().map(|()| "alive".into()), ""),
        "/readyz" => {
            let ready = status.ready();
            let words = ready
                .map(|revision| format!("ready: the database is at {revision}, the head"))
                .map_err(|why| format!("not ready: {why}"));
            verdict(words, &status.detail())
        }
        "/metrics" => typed(StatusCode::OK, metrics::CONTENT_TYPE, status.metrics()),
        _ => plain(
            StatusCode::NOT_FOUND,
            "there is /healthz, /readyz and /metrics\n".into(),
        ),
    }
}

fn verdict(words: std::result::Result<String, String>, detail: &str) -> Response<Full<Bytes>> {
    let (status, words) = match words {
        Ok(words) => (StatusCode::OK, words),
        Err(words) => (StatusCode::SERVICE_UNAVAILABLE, words),
    };
    plain(status, format!("{words}\n{detail}"))
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    typed(status, PLAIN, text)
}

fn typed(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
