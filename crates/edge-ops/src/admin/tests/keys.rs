//! Keys of the store, and orders to reload.

use mmsgw_contract::{ApiKey, Scope};
use serde_json::{Value, json};

use super::{World, settings};
use axum::http::{Method, StatusCode};
use mmsgw_domain::Clock;

fn key(secret: &Value) -> ApiKey {
    ApiKey { secret: secret.as_str().unwrap().to_owned().into(), hash: ApiKey::generate().hash }
}

fn names(list: &Value) -> Vec<String> {
    let of = |key: &Value| format!("{} {}", key["kept_in"].as_str().unwrap(), key["name"].as_str().unwrap());
    list["keys"].as_array().unwrap().iter().map(of).collect()
}

#[tokio::test]
async fn keys_are_made_shown_once_listed_and_revoked() {
    let root = ApiKey::generate();
    let world = World::new(&[settings(&root, Scope::Admin)]);
    let add = async |body: Value| {
        world.order((Method::POST, "/admin/v1/keys"), &body.to_string(), Some(&root)).await
    };
    let expires = world.rig.clock.now().as_secs() + 60;
    let order = json!({
        "name": "app-1", "scopes": ["send", "admin"], "gateways": ["east"], "expires_ts": expires, "reason": "r"
    });
    let (status, made) = add(order.clone()).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!((&made["key"]["created_by"], &made["key"]["expires_ts"]), (&"admin".into(), &expires.into()));
    assert_eq!(add(order).await.0, StatusCode::CONFLICT, "twice the same name");
    let app = key(&made["secret"]);
    // It is good at once, and bounded: other keys are none of its business.
    assert_eq!(world.ask("/admin/v1/gateways", Some(&app)).await.0, StatusCode::OK);
    assert_eq!(world.ask("/admin/v1/keys", Some(&app)).await.0, StatusCode::FORBIDDEN);
    let (_, list) = world.ask("/admin/v1/keys", Some(&root)).await;
    assert_eq!(names(&list), ["file admin", "store app-1"]);
    assert!(list["keys"][1]["last_used_ts"].is_i64() && !list.to_string().contains("mmsgw_"), "{list}");
    world.rig.clock.advance(std::time::Duration::from_secs(61));
    let (status, problem) = world.ask("/admin/v1/gateways", Some(&app)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(problem["detail"].as_str().unwrap().contains("its time is over"), "{problem}");

    let revoke = async |name: &str| {
        let path = format!("/admin/v1/keys/{name}?reason=lost");
        world.order((Method::DELETE, &path), "", Some(&root)).await
    };
    assert_eq!(revoke("app-1").await.0, StatusCode::NO_CONTENT);
    assert_eq!(revoke("app-1").await.0, StatusCode::NOT_FOUND);
    let (status, problem) = revoke("admin").await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(problem["detail"].as_str().unwrap().contains("configuration file"), "{problem}");
    let (status, _) = world.order((Method::DELETE, "/admin/v1/keys/app-1"), "", Some(&root)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "a reason has to be given");
    for (wrong, pointer) in [
        (json!({"name": "a/b", "scopes": ["send"], "reason": "r"}), "/name"),
        (json!({"name": "a", "scopes": [], "reason": "r"}), "/scopes"),
        (json!({"name": "a", "scopes": ["send"], "expires_ts": 1, "reason": "r"}), "/expires_ts"),
    ] {
        let (status, problem) = add(wrong).await;
        assert_eq!((status.as_u16(), &problem["errors"][0]["pointer"]), (422, &pointer.into()), "{problem}");
    }
}

#[tokio::test]
async fn the_first_key_closes_the_door_and_somebody_keeps_a_key_to_it() {
    let world = World::new(&[]);
    let add = async |name: &str, scope: &str, with: Option<&ApiKey>| {
        let body = json!({"name": name, "scopes": [scope], "reason": "r"}).to_string();
        world.order((Method::POST, "/admin/v1/keys"), &body, with).await
    };
    assert_eq!(add("app", "send", None).await.0, StatusCode::CONFLICT, "nobody could administrate");
    let (status, made) = add("root", "admin", None).await;
    assert_eq!((status, &made["key"]["created_by"]), (StatusCode::CREATED, &"-".into()));
    let root = key(&made["secret"]);
    assert_eq!(world.ask("/admin/v1/keys", None).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(add("app", "send", Some(&root)).await.0, StatusCode::CREATED);
    let revoke = async |name: &str| {
        let path = format!("/admin/v1/keys/{name}?reason=r");
        world.order((Method::DELETE, &path), "", Some(&root)).await.0
    };
    assert_eq!(revoke("root").await, StatusCode::CONFLICT, "the last one that may");
    assert_eq!(revoke("app").await, StatusCode::NO_CONTENT);
    assert_eq!(revoke("root").await, StatusCode::NO_CONTENT, "without any key nobody needs one");
    assert_eq!(world.ask("/admin/v1/keys", None).await.0, StatusCode::OK);
}

#[tokio::test]
async fn an_order_to_reload_tells_what_it_did_or_every_fault() {
    let world = World::new(&[]);
    let (status, done) = world.post("/admin/v1/reload", &json!({"reason": "r"})).await;
    assert_eq!((status, &done["added"]), (StatusCode::OK, &json!(["new"])));
    assert_eq!(world.post("/admin/v1/reload", &json!({})).await.0.as_u16(), 422);
    world.set_level("faulty").await;
    let (status, problem) = world.post("/admin/v1/reload", &json!({"reason": "r"})).await;
    assert_eq!((status.as_u16(), &problem["code"]), (422, &"invalid_configuration".into()));
    assert_eq!(problem["detail"], "main.toml: line 2: no such field");
}

#[tokio::test]
async fn a_drained_group_has_nothing_in_hand() {
    let world = World::new(&[]);
    world.rig.engine.know_group(crate::router::tests::group("east"));
    let drain = "/admin/v1/gateways/east/drain";
    let (status, shown) = world.post(drain, &json!({"reason": "r", "wait_seconds": 5})).await;
    assert_eq!((status, &shown["health"], &shown["in_hand"]), (StatusCode::OK, &"paused".into(), &0.into()));
}
