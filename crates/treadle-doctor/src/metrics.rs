//! Metrics over HTTP, from a thread of their own: they are there while a loop is blocked.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use tiny_http::{Header, Method, Request, Response, Server};
use treadle_view::{Exposition, Metrics};

/// Ports that are tried by processes that a watched one has started, which all have the same settings.
const PORTS: u16 = 64;

/// Where metrics are served; that ends when this goes.
pub(crate) struct Scraped(Arc<Server>);

impl Scraped {
    /// Serves what `measure` gives at an address, `HOST:PORT`, or the next free one for one of several processes. Says where.
    ///
    /// # Errors
    /// In words: the address is none or is taken.
    pub(crate) fn start(
        address: &str,
        is_follower: bool,
        measure: impl Fn() -> Option<Metrics> + Send + 'static,
    ) -> io::Result<(Self, SocketAddr)> {
        let first = resolve(address)?;
        let last = first.port().saturating_add(if is_follower && first.port() > 0 { PORTS } else { 0 });
        let mut server = Err(io::Error::other("no port"));
        for port in first.port()..=last {
            server = Server::http(SocketAddr::new(first.ip(), port)).map_err(|error| explain(address, &*error));
            if server.is_ok() {
                break;
            }
        }
        let server = Arc::new(server?);
        let bound = server.server_addr().to_ip().unwrap_or(first);
        let serving = Arc::clone(&server);
        std::thread::Builder::new().name("treadle-metrics".to_owned()).spawn(move || {
            for request in serving.incoming_requests() {
                // Who goes away has no need of an answer.
                let _ = reply(request, &measure);
            }
        })?;
        Ok((Self(server), bound))
    }
}

impl Drop for Scraped {
    fn drop(&mut self) {
        self.0.unblock();
    }
}

/// Whether metrics can be served at an address, as far as that can be known before.
///
/// # Errors
/// In words: the address is none or is taken.
pub fn check_address(address: &str) -> io::Result<()> {
    std::net::TcpListener::bind(resolve(address)?).map(drop).map_err(|error| explain(address, &error))
}

/// What there is to say to the user of an address, if anything.
pub(crate) fn warning(bound: SocketAddr) -> Option<String> {
    let is_own = match bound.ip() {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => address.is_loopback(),
    };
    (!is_own).then(|| {
        format!(
            "treadle: warning: metrics are served at {bound}, which other machines may reach, and nobody is asked who they \
             are; `127.0.0.1:{}` is this machine alone\n",
            bound.port()
        )
    })
}

/// An address, of this machine alone if no host is named.
fn resolve(address: &str) -> io::Result<SocketAddr> {
    let wrong = || {
        let words = format!("`{address}` is no address for metrics. Write `127.0.0.1:9464`, or the port alone");
        io::Error::new(io::ErrorKind::InvalidInput, words)
    };
    if let Ok(port) = address.trim_start_matches(':').parse::<u16>() {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    address.to_socket_addrs().ok().and_then(|mut found| found.next()).ok_or_else(wrong)
}

fn explain(address: &str, error: &(dyn std::error::Error + 'static)) -> io::Error {
    let kind = error.downcast_ref::<io::Error>().map_or(io::ErrorKind::Other, io::Error::kind);
    let words = match kind {
        io::ErrorKind::AddrInUse => {
            format!("metrics cannot be served at `{address}`: somebody else has the port. Choose another, or 0 for any")
        }
        _ => format!("metrics cannot be served at `{address}`: {error}. `127.0.0.1:0` is any free port"),
    };
    io::Error::new(kind, words)
}

fn reply(request: Request, measure: &impl Fn() -> Option<Metrics>) -> io::Result<()> {
    let path = request.url().split('?').next().unwrap_or_default();
    if !matches!(request.method(), Method::Get | Method::Head) {
        return request.respond(Response::from_string("only GET is answered\n").with_status_code(405));
    }
    if path != "/metrics" && path != "/" {
        return request.respond(Response::from_string("metrics are at /metrics\n").with_status_code(404));
    }
    let accept = request.headers().iter().find(|header| header.field.equiv("Accept"));
    let exposition = accept.map_or(Exposition::Text, |header| Exposition::accepted(header.value.as_str()));
    let written = measure().and_then(|metrics| metrics.write(exposition).ok());
    let Some(written) = written else {
        return request.respond(Response::from_string("the doctor has finished\n").with_status_code(503));
    };
    let mut response = Response::from_data(written);
    if let Ok(media_type) = Header::from_bytes("Content-Type", exposition.media_type()) {
        response.add_header(media_type);
    }
    request.respond(response)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    fn ask(address: SocketAddr, question: &str) -> String {
        let mut answer = String::new();
        let asked = TcpStream::connect(address).and_then(|mut stream| {
            write!(stream, "{question}\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            stream.read_to_string(&mut answer)
        });
        asked.unwrap_or_else(|error| panic!("{error}"));
        answer
    }

    fn start(address: &str, is_follower: bool) -> io::Result<(Scraped, SocketAddr)> {
        Scraped::start(address, is_follower, || Some(Metrics::default()))
    }

    #[test]
    fn metrics_are_served_and_nothing_else() {
        let (_scraped, address) = start("0", false).unwrap_or_else(|error| panic!("{error}"));
        assert!(address.ip().is_loopback());
        let answer = ask(address, "GET /metrics HTTP/1.1");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("treadle_watch_overhead_ratio"), "{answer}");
        assert!(ask(address, "GET /etc HTTP/1.1").starts_with("HTTP/1.1 404"));
        assert!(ask(address, "POST /metrics HTTP/1.1").starts_with("HTTP/1.1 405"));
    }

    #[test]
    fn a_port_that_is_taken_is_an_error_and_the_next_one_for_children() {
        let (_first, address) = start("127.0.0.1:0", false).unwrap_or_else(|error| panic!("{error}"));
        let again = start(&address.to_string(), false).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(again.contains("somebody else has the port"), "{again}");
        let (_second, other) = start(&address.to_string(), true).unwrap_or_else(|error| panic!("{error}"));
        assert!(other.port() > address.port());
        assert!(start("nowhere", false).is_err());
    }

    #[test]
    fn addresses_of_other_machines_are_warned_of() {
        assert_eq!(warning(SocketAddr::from(([127, 0, 0, 1], 9464))), None);
        assert!(
            warning(SocketAddr::from(([0, 0, 0, 0], 9464))).is_some_and(|words| words.contains("`127.0.0.1:9464`"))
        );
    }
}
