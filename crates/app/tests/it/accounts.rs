//! What of accounts ends by itself.

use std::time::Duration;

use tenon_app::{
    accounts::{self, Purged},
    credentials, idempotency, resets, sessions,
    users::{self, Operator},
};
use tenon_core::{
    accounts::SignUp,
    emails::Email,
    secrets::{NewPassword, Secret},
    sessions::ClientInfo,
    tokens::Scope,
    users::{FullName, Lang, NewAccount, Timezone},
};

use crate::harness::House;

const PASSWORD: &str = "correct horse battery";

fn email(name: &str) -> Email {
    Email::parse(&format!("{name}@example.org")).unwrap()
}

async fn sign_up(house: &House, name: &str) {
    let wish = SignUp {
        email: email(name),
        username: None,
        full_name: FullName::parse(name).unwrap(),
        password: NewPassword::parse(PASSWORD).unwrap(),
        lang: Lang::En,
        timezone: Timezone::default(),
        accept_terms: true,
        accept_privacy: true,
    };
    accounts::sign_up(&house.app, wish, &ClientInfo::default(), "test").await.unwrap();
}

async fn account(house: &House, name: &str) {
    let new = NewAccount {
        email: email(name),
        username: None,
        full_name: FullName::parse(name).unwrap(),
        password: Some(NewPassword::parse(PASSWORD).unwrap()),
        lang: Lang::En,
        timezone: Timezone::default(),
        is_admin: false,
    };
    users::create(&house.app, Operator::System, new).await.unwrap();
}

#[tokio::test]
async fn what_has_ended_is_removed_and_nothing_else() {
    let house = House::new().await;
    account(&house, "ada").await;
    sign_up(&house, "eve").await;
    resets::request(&house.app, &email("ada"), &ClientInfo::default(), "test").await.unwrap();
    let wish = sessions::SignIn {
        login: "ada".to_owned(),
        password: Secret::new(PASSWORD.to_owned()),
        client: ClientInfo::default(),
    };
    let (_, pair) = sessions::sign_in(&house.app, &wish, "test").await.unwrap();
    idempotency::begin(&house.app, "ada", "k", [1; 32]).await.unwrap();
    assert_eq!(accounts::purge(&house.app, "test").await.unwrap(), Purged::default());

    house.clock.advance(Duration::from_hours(3));
    let purged = accounts::purge(&house.app, "test").await.unwrap();
    assert_eq!(purged, Purged { links: 1, idempotency_keys: 1, ..Purged::default() });
    house.clock.advance(Duration::from_hours(7 * 24));
    let purged = accounts::purge(&house.app, "test").await.unwrap();
    // The verifying link and the log went with the account.
    assert_eq!(purged, Purged { accounts: 1, ..Purged::default() });
    sessions::refresh(&house.app, pair.refresh_token.expose(), "test").await.unwrap();

    house.clock.advance(Duration::from_hours(61 * 24));
    let purged = accounts::purge(&house.app, "test").await.unwrap();
    assert_eq!(purged, Purged { sessions: 1, ..Purged::default() });
    assert!(users::find(&house.app, Operator::System, "ada@example.org").await.is_ok());
    assert!(users::find(&house.app, Operator::System, "eve@example.org").await.is_err());
}

#[tokio::test]
async fn a_credential_of_another_instance_is_none() {
    let (one, two) = (House::new().await, House::new().await);
    account(&one, "ada").await;
    let wish = sessions::SignIn {
        login: "ada".to_owned(),
        password: Secret::new(PASSWORD.to_owned()),
        client: ClientInfo::default(),
    };
    let (_, pair) = sessions::sign_in(&one.app, &wish, "test").await.unwrap();
    // Even with the same key, the session is looked up.
    let caller =
        credentials::verify(&two.app, pair.access_token.expose(), Scope::ReadAccount, "test").unwrap();
    assert!(tenon_app::me::get(&two.app, &caller).await.is_err());
    assert!(tenon_app::me::get(&one.app, &caller).await.is_ok());
}
