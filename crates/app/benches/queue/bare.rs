//! The least that a queue in Postgres can do: claim a batch with `SKIP LOCKED`, delete it.

use diesel::sql_types as st;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_util::future::join_all;
use tenon_db::{Db, DbConfig, sql::sql};

use crate::{SINGLY, cluster::Cluster};

pub(crate) struct Bare(Db);

impl Bare {
    pub(crate) async fn new(cluster: &Cluster) -> Self {
        let db = Db::open(DbConfig::new(cluster.database().await));
        let table =
            "CREATE TABLE bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payload json NOT NULL,
                                        taken boolean NOT NULL DEFAULT false);
                     CREATE INDEX bare_ready ON bare (id) WHERE NOT taken";
        db.conn().await.unwrap().batch_execute(table).await.unwrap();
        Self(db)
    }

    pub(crate) async fn singly(&self, at_once: usize) {
        join_all((0..at_once).map(|_| async {
            for _ in 0..SINGLY / at_once {
                let mut conn = self.0.conn().await.unwrap();
                sql("INSERT INTO bare (payload) VALUES ('{}')").execute(&mut *conn).await.unwrap();
            }
        }))
        .await;
    }

    pub(crate) async fn thousands(&self, jobs: usize) {
        let mut conn = self.0.conn().await.unwrap();
        for _ in 0..jobs / 1000 {
            sql("INSERT INTO bare (payload) SELECT '{}' FROM generate_series(1, 1000)")
                .execute(&mut *conn)
                .await
                .unwrap();
        }
    }

    pub(crate) async fn drain(&self, batch: i64) {
        join_all((0..2).map(|_| async move {
            let mut conn = self.0.conn().await.unwrap();
            while take(&mut conn, batch).await > 0 {}
        }))
        .await;
    }
}

#[derive(diesel::QueryableByName)]
struct Taken {
    #[diesel(sql_type = st::BigInt)]
    id: i64,
    #[diesel(sql_type = st::Json)]
    #[expect(dead_code, reason = "read as a worker would")]
    payload: serde_json::Value,
}

async fn take(conn: &mut AsyncPgConnection, batch: i64) -> usize {
    let taken: Vec<Taken> = sql("UPDATE bare SET taken = true WHERE id = ANY(ARRAY(
           SELECT id FROM bare WHERE NOT taken ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
         )) RETURNING id, payload")
    .bind::<st::BigInt, _>(batch)
    .load(conn)
    .await
    .unwrap();
    let ids: Vec<i64> = taken.iter().map(|row| row.id).collect();
    sql("DELETE FROM bare WHERE id = ANY($1)")
        .bind::<st::Array<st::BigInt>, _>(ids)
        .execute(conn)
        .await
        .unwrap();
    taken.len()
}
