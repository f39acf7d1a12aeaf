//! The least that could answer a story: a salvo handler with the same query, and nothing around it.

use salvo::{Depot, Handler, Listener, Request, Response, conn::TcpListener, writing::Json};
use tenon_db::{Db, DbConfig};

struct Story {
    db: Db,
    project: uuid::Uuid,
}

#[salvo::async_trait]
impl Handler for Story {
    async fn handle(&self, req: &mut Request, _: &mut Depot, res: &mut Response, _: &mut salvo::FlowCtrl) {
        let number = req.param::<i64>("number").unwrap();
        let mut conn = self.db.conn().await.unwrap();
        let stored = tenon_db::stories::find(&mut conn, self.project.into(), number).await.unwrap().unwrap();
        res.render(Json(&stored.story));
    }
}

/// Serves until it is killed; its address goes to standard output.
pub(crate) fn serve(url: &str, project: &str) {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let story = Story { db: Db::open(DbConfig::new(url)), project: project.parse().unwrap() };
        let router = salvo::Router::with_path("api/v1/{number}").get(story);
        let acceptor = TcpListener::new(address).bind().await;
        println!("{address}");
        salvo::Server::new(acceptor).serve(router).await;
    });
}
