//! A request to the API, before it is known whether it goes over HTTP or stays in this process.

use std::borrow::Cow;

use http::Method;
use serde_json::Value;
use url::Url;

use super::super::Failure;
use super::super::options::PageArgs;

/// A request to the API.
#[derive(Clone)]
pub(in crate::cli) struct ApiRequest {
    pub(super) method: Method,
    path: Vec<String>,
    query: Vec<(Cow<'static, str>, String)>,
    /// JSON text.
    pub(super) body: Option<String>,
    pub(super) if_match: Option<String>,
}

impl ApiRequest {
    /// A request for the path of these segments below `/v1`. They need no escaping.
    pub(in crate::cli) fn new(method: Method, path: &[&str]) -> Self {
        Self::unversioned(method, &[&["v1"], path].concat())
    }

    /// A request for a path outside `/v1`.
    pub(in crate::cli) fn unversioned(method: Method, path: &[&str]) -> Self {
        let path = path.iter().map(|&segment| segment.to_owned()).collect();
        Self { method, path, query: Vec::new(), body: None, if_match: None }
    }

    /// Adds a query parameter if there is a value.
    pub(in crate::cli) fn query(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: Option<impl ToString>,
    ) -> Self {
        self.query.extend(value.map(|value| (name.into(), value.to_string())));
        self
    }

    /// Asks for one page of a list.
    pub(in crate::cli) fn page(self, page: &PageArgs) -> Self {
        self.query("limit", page.limit).query("cursor", page.cursor.as_deref())
    }

    /// Sets the body.
    pub(in crate::cli) fn body(self, body: impl Into<Value>) -> Self {
        self.json_text(body.into().to_string())
    }

    /// Sets a body that is JSON text already, and sends its bytes unchanged.
    pub(in crate::cli) fn json_text(mut self, body: String) -> Self {
        self.body = Some(body);
        self
    }

    /// Applies the change only if the resource still has this entity tag.
    pub(in crate::cli) fn if_match(mut self, tag: Option<String>) -> Self {
        self.if_match = tag;
        self
    }

    /// Its URL on the server at `base`.
    pub(super) fn url(&self, mut base: Url) -> Result<Url, Failure> {
        base.set_query(None);
        base.path_segments_mut()
            .map_err(|()| Failure::refused("--server is not the URL of a server"))?
            .pop_if_empty()
            .extend(&self.path);
        for (name, value) in &self.query {
            base.query_pairs_mut().append_pair(name, value);
        }
        Ok(base)
    }
}
