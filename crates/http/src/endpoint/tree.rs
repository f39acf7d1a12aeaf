//! The router, grown as a tree of path segments.
//!
//! Matching walks the routes one after the other; a flat table of a hundred costs more than the rest of
//! the frame together. Literals are tried before parameters.

use salvo::{Router, handler::ArcHandler};

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
        let (parameters, literals): (Vec<_>, Vec<_>) =
            self.children.into_iter().partition(|(segment, _)| segment.starts_with('{'));
        for (segment, child) in literals.into_iter().chain(parameters) {
            router = router.push(child.grow(Router::with_path(segment)));
        }
        router
    }
}
