//! The router, grown as a tree of path segments.
//!
//! Matching walks the routes one after the other; a flat table of a hundred costs more than the rest of
//! the frame together. Literals are tried before parameters.

use salvo::{
    Depot, FlowCtrl, Handler, Request, Response, Router,
    handler::ArcHandler,
    http::{HeaderValue, StatusCode, header},
};

use super::registry::Method;

#[derive(Default)]
pub(super) struct Tree {
    children: Vec<(String, Tree)>,
    handlers: Vec<(Method, ArcHandler)>,
}

impl Tree {
    pub(super) fn insert(&mut self, path: &str, method: Method, handler: ArcHandler) {
        let mut node = self;
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            let known = node.children.iter().position(|(name, _)| name == segment);
            let place = known.unwrap_or_else(|| {
                node.children.push((segment.to_owned(), Self::default()));
                node.children.len() - 1
            });
            node = &mut node.children[place].1;
        }
        assert!(node.handlers.iter().all(|(taken, _)| *taken != method), "{path} is mounted twice");
        node.handlers.push((method, handler));
    }

    pub(super) fn into_router(self) -> Router {
        self.grow(Router::new())
    }

    fn grow(self, mut router: Router) -> Router {
        let allowed = Allowed::of(&self.handlers);
        for (method, handler) in self.handlers {
            router = match method {
                // HEAD answers as GET does; the body is cut off later.
                Method::Get => router.get(handler.clone()).head(handler),
                Method::Post => router.post(handler),
                Method::Put => router.put(handler),
                Method::Patch => router.patch(handler),
                Method::Delete => router.delete(handler),
            };
        }
        if let Some(allowed) = allowed {
            router = router.push(Router::new().goal(allowed));
        }
        let (parameters, literals): (Vec<_>, Vec<_>) =
            self.children.into_iter().partition(|(segment, _)| segment.starts_with('{'));
        for (segment, child) in literals.into_iter().chain(parameters) {
            router = router.push(child.grow(Router::with_path(segment)));
        }
        router
    }
}

/// Refuses every other method of a path, so that a literal's do not fall through to a parameter beside it.
struct Allowed(HeaderValue);

impl Allowed {
    fn of(handlers: &[(Method, ArcHandler)]) -> Option<Self> {
        let mut names: Vec<&str> = handlers.iter().map(|(method, _)| method.as_str()).collect();
        if names.contains(&"GET") {
            names.push("HEAD");
        }
        names.sort_unstable();
        let list = HeaderValue::from_str(&names.join(", ")).ok()?;
        if names.is_empty() { None } else { Some(Self(list)) }
    }
}

#[salvo::async_trait]
impl Handler for Allowed {
    async fn handle(&self, _: &mut Request, _: &mut Depot, res: &mut Response, _: &mut FlowCtrl) {
        res.status_code(StatusCode::METHOD_NOT_ALLOWED);
        res.headers_mut().insert(header::ALLOW, self.0.clone());
    }
}
