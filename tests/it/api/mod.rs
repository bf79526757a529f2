//! The HTTP API, over the real server.

mod authorization;
mod channels;
mod clients;
mod conventions;
mod described;
mod destinations;
mod environments;
mod following;
mod lookups;
mod matrix;
mod quotas;
mod receivers;
mod routes;
mod sources;
mod statistics;
mod strict;
mod urls;
mod writers;

use serde_json::{Value, json};

use crate::scene::Scene;
use crate::support::{Answer, Fanfare, Redis, request};

/// A server with the tenants `acme` and `globex`, and somebody who talks to it.
pub(crate) struct Api {
    pub(crate) server: Fanfare,
    pub(crate) scene: Scene,
    /// The key that is sent; without one the caller is an operator, in development.
    key: Option<String>,
}

impl Api {
    pub(crate) fn start() -> Self {
        Self::on(Scene::embedded())
    }

    pub(crate) fn on(scene: Scene) -> Self {
        let server = scene.start();
        let api = Self { server, scene, key: None };
        for id in ["acme", "globex"] {
            api.post("/v1/tenants", &json!({"id": id, "name": id})).is(201);
        }
        api
    }

    /// Once over each store.
    pub(crate) fn over_both(test: fn(&Api)) {
        let redis = Redis::start();
        for scene in [Scene::embedded(), Scene::on(&redis)] {
            test(&Self::on(scene));
        }
    }

    /// Makes a key of a tenant.
    pub(crate) fn key(&self, tenant: &str, role: &str) -> String {
        let body = json!({"role": role, "label": "test"});
        let made = self.post(&format!("/v1/tenants/{tenant}/keys"), &body).is(201);
        made["key"].as_str().expect("shown once").to_owned()
    }

    pub(crate) fn get(&self, path: &str) -> Said {
        self.call("GET", path, &[], None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Said {
        self.call("POST", path, &[], Some(body))
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Said {
        self.call("PUT", path, &[], Some(body))
    }

    pub(crate) fn patch(&self, path: &str, body: &Value) -> Said {
        self.call("PATCH", path, &[], Some(body))
    }

    pub(crate) fn delete(&self, path: &str) -> Said {
        self.call("DELETE", path, &[], None)
    }

    pub(crate) fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Said {
        let bearer = self.key.as_ref().map(|key| format!("Bearer {key}"));
        let mut all: Vec<(&str, &str)> = headers.to_vec();
        if let Some(bearer) = &bearer {
            all.push(("authorization", bearer));
        }
        if body.is_some() && !headers.iter().any(|(name, _)| *name == "content-type") {
            all.push(("content-type", "application/json"));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let answer = request(self.server.address(), method, path, &all, body.as_bytes());
        Said { what: format!("{method} {path}"), answer: answer.expect("fanfare answers") }
    }

    /// The same with a key.
    pub(crate) fn with<T>(&mut self, key: &str, work: impl FnOnce(&Self) -> T) -> T {
        let before = self.key.replace(key.to_owned());
        let done = work(self);
        self.key = before;
        done
    }
}

/// What was answered to what.
pub(crate) struct Said {
    what: String,
    pub(crate) answer: Answer,
}

impl Said {
    /// The data of a success with this status.
    #[track_caller]
    pub(crate) fn is(&self, status: u16) -> Value {
        assert_eq!(self.answer.status, status, "{}: {}", self.what, self.answer.body);
        if self.answer.body.is_empty() {
            return Value::Null;
        }
        let body = self.answer.json();
        assert_eq!(body["status"], "success", "{}: {body}", self.what);
        body["data"].clone()
    }

    /// The error of a refusal with this status and code.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.answer.status, status, "{}: {}", self.what, self.answer.body);
        let body = self.answer.json();
        assert_eq!(body["status"], "error", "{}: {body}", self.what);
        assert_eq!(body["error"]["code"], code, "{}: {body}", self.what);
        body["error"].clone()
    }

    /// Its `ETag`.
    #[track_caller]
    pub(crate) fn tag(&self) -> String {
        let tag = self.answer.header("etag");
        tag.unwrap_or_else(|| panic!("{} has no ETag: {}", self.what, self.answer.head)).to_owned()
    }
}

/// A destination that is there but reaches nobody.
pub(crate) fn webhook(url: &str) -> Value {
    json!({"channel": "webhook", "settings": {"url": url, "secret": crate::verifiers::SECRET}})
}

/// The names of the fields that an error tells of.
pub(crate) fn fields(error: &Value) -> Vec<&str> {
    let details = error["details"].as_array().expect("details");
    details.iter().map(|detail| detail["field"].as_str().expect("a field")).collect()
}
