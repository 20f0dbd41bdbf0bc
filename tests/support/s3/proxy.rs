//! Stands between the program and a server, and breaks what goes through.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

const BLOCK: usize = 16 * 1024;
/// How often a slow or stalled connection looks whether the proxy is still wanted.
const TICK: Duration = Duration::from_millis(20);

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Create,
    Part,
    Complete,
    Abort,
    Put,
    Head,
    Get,
    List,
    Uploads,
    Delete,
    Other,
}

impl Kind {
    fn of(method: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let has = |name: &str| {
            let mut names = query.split('&').map(|pair| pair.split('=').next());
            names.any(|found| found == Some(name))
        };
        let of_bucket = path.trim_matches('/').split('/').count() < 2;
        match method {
            "POST" if has("uploads") => Self::Create,
            "POST" if has("uploadId") => Self::Complete,
            "POST" if has("delete") => Self::Delete,
            "PUT" if has("partNumber") => Self::Part,
            "PUT" => Self::Put,
            "DELETE" if has("uploadId") => Self::Abort,
            "DELETE" => Self::Delete,
            "HEAD" => Self::Head,
            "GET" if has("uploads") => Self::Uploads,
            "GET" if has("list-type") || of_bucket => Self::List,
            "GET" => Self::Get,
            _ => Self::Other,
        }
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The connection is cut once that many bytes of request bodies have gone through: this one (`heals`), or from then on every
    /// one that is made.
    CutAfter {
        bytes: u64,
        heals: bool,
    },
    /// Requests (of one kind, or all) are answered with this status, so many times.
    Answer {
        status: u16,
        kind: Option<Kind>,
        times: usize,
    },
    /// Bodies of requests go through at this pace.
    Trickle {
        bytes_per_second: u64,
    },
    /// After that many bytes of request bodies nothing goes through any more, and nothing is closed.
    StallAfter {
        bytes: u64,
    },
    /// The server does what is asked, and its answer never arrives, so many times.
    LoseAnswer {
        kind: Kind,
        times: usize,
    },
    /// The bodies of answers to GET of objects end after so many bytes, so many times.
    Truncate {
        bytes: usize,
        times: usize,
    },
}

/// A fault for ever.
pub const ALWAYS: usize = usize::MAX;

struct State {
    upstream: String,
    fault: Mutex<Fault>,
    /// Bytes of request bodies that have gone through.
    bodies: AtomicU64,
    seen: Mutex<BTreeMap<Kind, usize>>,
    /// How often the fault has struck.
    struck: AtomicUsize,
    closed: AtomicBool,
}

/// A proxy in front of a server.
pub struct Proxy {
    address: String,
    state: Arc<State>,
    listener: Option<JoinHandle<()>>,
}

impl Proxy {
    /// In front of the server at `upstream` (host and port).
    pub fn to(upstream: &str, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        let state = Arc::new(State {
            upstream: upstream.to_owned(),
            fault: Mutex::new(fault),
            bodies: AtomicU64::new(0),
            seen: Mutex::default(),
            struck: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        let listener = std::thread::spawn(move || {
            for client in listener.incoming() {
                if shared.closed.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(client) = client else { continue };
                let state = Arc::clone(&shared);
                std::thread::spawn(move || {
                    let _ = state.serve(&client);
                    let _ = client.shutdown(Shutdown::Both);
                });
            }
        });
        Self {
            address,
            state,
            listener: Some(listener),
        }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Something else goes wrong from now on.
    pub fn set(&self, fault: Fault) {
        *self.state.fault.lock().expect("the fault") = fault;
        self.state.struck.store(0, Ordering::SeqCst);
        self.state.bodies.store(0, Ordering::SeqCst);
    }

    /// Bytes of request bodies that have gone through.
    pub fn bodies(&self) -> u64 {
        self.state.bodies.load(Ordering::SeqCst)
    }

    /// How often the fault has struck.
    pub fn struck(&self) -> usize {
        self.state.struck.load(Ordering::SeqCst)
    }

    /// How many requests of a kind came.
    pub fn seen(&self, kind: Kind) -> usize {
        let seen = self.state.seen.lock().expect("the count");
        seen.get(&kind).copied().unwrap_or(0)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.closed.store(true, Ordering::SeqCst);
        // Lets the listener look.
        let _ = TcpStream::connect(&self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

struct Head {
    text: String,
    kind: Kind,
    length: u64,
}

impl Head {
    /// `None` at the end of the connection.
    fn read(client: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut text = String::new();
        loop {
            let before = text.len();
            if client.read_line(&mut text)? == 0 {
                return Ok(None);
            }
            if text[before..].trim_end().is_empty() {
                break;
            }
        }
        let mut words = text.split(' ');
        let kind = Kind::of(
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let length = header(&text, "content-length")
            .and_then(|value| value.parse().ok())
            .unwrap_or(0);
        assert!(
            header(&text, "transfer-encoding").is_none(),
            "a body without a length: {text}"
        );
        Ok(Some(Self { text, kind, length }))
    }

    /// As it is sent on: one request a connection, so that an answer ends where the connection does.
    fn closing(&self) -> String {
        let lines = self.text.lines().filter(|line| {
            let name = line.split(':').next().unwrap_or_default();
            !line.is_empty() && !name.eq_ignore_ascii_case("connection")
        });
        let mut text: String = lines.map(|line| format!("{line}\r\n")).collect();
        text.push_str("Connection: close\r\n\r\n");
        text
    }
}

fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

impl State {
    fn fault(&self) -> Fault {
        *self.fault.lock().expect("the fault")
    }

    fn closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Whether the fault strikes once more.
    fn strikes(&self, times: usize) -> bool {
        let more = |struck: usize| (struck < times).then_some(struck + 1);
        let update = self
            .struck
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        update.is_ok()
    }

    fn serve(&self, client: &TcpStream) -> io::Result<()> {
        if self.is_cut() {
            self.strikes(ALWAYS);
            return Ok(());
        }
        let mut reader = BufReader::new(client);
        let Some(head) = Head::read(&mut reader)? else {
            return Ok(());
        };
        *self
            .seen
            .lock()
            .expect("the count")
            .entry(head.kind)
            .or_default() += 1;
        if let Fault::Answer {
            status,
            kind,
            times,
        } = self.fault()
            && kind.is_none_or(|kind| kind == head.kind)
            && self.strikes(times)
        {
            io::copy(&mut reader.take(head.length), &mut io::sink())?;
            return refuse(client, status);
        }
        let mut server = TcpStream::connect(&self.upstream)?;
        server.write_all(head.closing().as_bytes())?;
        if !self.send_body(&mut reader, &mut server, head.length)? {
            return Ok(());
        }
        self.answer(&mut server, client, head.kind)
    }

    /// Every connection from a cut that stays.
    fn is_cut(&self) -> bool {
        matches!(self.fault(), Fault::CutAfter { bytes, heals: false } if self.bodies.load(Ordering::SeqCst) >= bytes)
    }

    /// `false` where the connection was cut.
    fn send_body(
        &self,
        client: &mut impl Read,
        server: &mut TcpStream,
        length: u64,
    ) -> io::Result<bool> {
        let mut left = length;
        let mut block = vec![0; BLOCK];
        while left > 0 {
            let most = usize::try_from(left.min(BLOCK as u64)).expect("a block");
            let count = client.read(&mut block[..most])?;
            if count == 0 || !self.lets_pass(count) {
                return Ok(false);
            }
            server.write_all(&block[..count])?;
            left -= count as u64;
        }
        Ok(true)
    }

    /// Counts bytes of a body; waits or says no as the fault wants.
    fn lets_pass(&self, count: usize) -> bool {
        let before = self.bodies.fetch_add(count as u64, Ordering::SeqCst);
        let after = before + count as u64;
        match self.fault() {
            Fault::CutAfter { bytes, heals } if after > bytes => {
                let cut = self.strikes(if heals { 1 } else { ALWAYS });
                return !cut;
            }
            Fault::StallAfter { bytes } if after > bytes => {
                self.strikes(ALWAYS);
                while !self.closed() {
                    std::thread::sleep(TICK);
                }
                return false;
            }
            Fault::Trickle { bytes_per_second } => {
                let millis = count as u64 * 1000 / bytes_per_second;
                std::thread::sleep(Duration::from_millis(millis));
                return !self.closed();
            }
            _ => {}
        }
        true
    }

    fn answer(&self, server: &mut TcpStream, client: &TcpStream, kind: Kind) -> io::Result<()> {
        match self.fault() {
            Fault::LoseAnswer { kind: lost, times } if lost == kind => {
                let mut answer = Vec::new();
                server.read_to_end(&mut answer)?;
                if self.strikes(times) {
                    return Ok(());
                }
                (&*client).write_all(&answer)
            }
            Fault::Truncate { bytes, times } if kind == Kind::Get && self.strikes(times) => {
                let mut answer = Vec::new();
                server.read_to_end(&mut answer)?;
                let body = answer
                    .windows(4)
                    .position(|window| window == b"\r\n\r\n")
                    .map_or(answer.len(), |end| end + 4);
                (&*client).write_all(&answer[..answer.len().min(body + bytes)])
            }
            _ => io::copy(server, &mut &*client).map(drop),
        }
    }
}

/// As S3 says it.
fn refuse(mut client: &TcpStream, status: u16) -> io::Result<()> {
    let code = match status {
        503 => "SlowDown",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>not now</Message></Error>"
    );
    write!(
        client,
        "HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
