//! What the head of a request must be like, whatever it asks for: one host, and a body that is not encoded.
//!
//! A request with two hosts is routed by one and judged by the other; a body that is encoded would be stored or parsed as
//! the bytes it was packed into.

use salvo::{
    Depot, FlowCtrl, Handler, Request, Response,
    http::{StatusCode, Version, header, uri::Authority},
};

use crate::{frame, problem::Problem};

pub(super) struct RequestHead;

#[salvo::async_trait]
impl Handler for RequestHead {
    async fn handle(&self, req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
        match check(req) {
            Ok(()) => {
                ctrl.call_next(req, depot, res).await;
            }
            Err(problem) => {
                ctrl.skip_rest();
                problem.write(&frame::correlation(depot), res);
            }
        }
    }
}

fn check(req: &Request) -> Result<(), Problem> {
    check_host(req)?;
    for name in [header::TRANSFER_ENCODING, header::CONTENT_ENCODING] {
        let codings =
            req.headers().get_all(&name).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
        let plain: &[u8] = if name == header::TRANSFER_ENCODING { b"chunked" } else { b"identity" };
        let is_plain = |coding: &[u8]| {
            let coding = coding.trim_ascii();
            coding.is_empty() || coding.eq_ignore_ascii_case(plain)
        };
        if !codings.into_iter().all(is_plain) {
            let detail = format!("Send the body as it is: {name} is not undone here.");
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-encoding", detail)
                .with_header(header::ACCEPT_ENCODING, "identity"));
        }
    }
    Ok(())
}

/// RFC 9112 §3.2: exactly one `Host`, which may be empty. HTTP/2 has its own word for it, HTTP/1.0 need not have one.
fn check_host(req: &Request) -> Result<(), Problem> {
    let mut hosts = req.headers().get_all(header::HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(Problem::malformed("Send one Host header, not several."));
    }
    match host {
        None if req.version() == Version::HTTP_11 => Err(Problem::malformed("Send a Host header.")),
        Some(host) if !host.is_empty() && Authority::try_from(host.as_bytes()).is_err() => {
            Err(Problem::malformed("The Host header must be a name or an address, with or without a port."))
        }
        _ => Ok(()),
    }
}
