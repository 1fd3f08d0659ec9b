//! Specs, and what is said of each by who can refuse one: the parsers, every broken rule of contract B.12; the API server, as
//! much of that as the CRD's schema and rules can say. No two cases have the same name, which can name an object.

use serde_json::{Value, json};

mod cidrpool;
mod ippool;
mod notation;
mod selector;

/// One spec.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// What it shows.
    pub(crate) name: &'static str,
    /// What it is a spec of.
    pub(crate) kind: Kind,
    /// The spec.
    pub(crate) spec: Value,
    /// What the parser says, in its order; nothing if the spec is valid.
    pub(crate) parser: &'static [&'static str],
    /// What the API server says.
    pub(crate) api_server: ApiServer,
}

/// The one that no API server ever stored: the minimum of an index in IPPools is older than all other rules.
pub(crate) const NEVER_STORED: &str = "ip-index-negative";

/// The kinds of pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    IPPool,
    CIDRPool,
}

/// What the API server says of a spec. Of several faults the order is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ApiServer {
    /// What the parser says, in the same words.
    Same,
    /// This.
    Says(&'static [&'static str]),
    /// Nothing: it can't see what is wrong.
    Nothing,
}

impl Case {
    /// What the API server says.
    pub(crate) fn said(&self) -> &'static [&'static str] {
        match self.api_server {
            ApiServer::Same => self.parser,
            ApiServer::Says(said) => said,
            ApiServer::Nothing => &[],
        }
    }

    /// Whether the parser says nothing.
    pub(crate) fn is_valid(&self) -> bool {
        self.parser.is_empty()
    }

    /// What the parser says, as one text.
    pub(crate) fn text(&self) -> String {
        match self.parser {
            [only] => (*only).to_owned(),
            all => format!("[{}]", all.join(", ")),
        }
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Case> {
    [
        ippool::cases(),
        cidrpool::cases(),
        selector::cases(),
        notation::cases(),
    ]
    .concat()
}

/// An IPPool with these fields, and a subnet and a block size if they are not among them.
fn ippool(name: &'static str, fields: Value, parser: &'static [&'static str], api_server: ApiServer) -> Case {
    let spec = json!({ "subnet": "10.7.0.0/24", "perNodeBlockSize": 8 });
    Case {
        name,
        kind: Kind::IPPool,
        spec: with(spec, fields),
        parser,
        api_server,
    }
}

/// A CIDRPool with these fields, and a network and a prefix length if they are not among them.
fn cidrpool(
    name: &'static str,
    fields: Value,
    parser: &'static [&'static str],
    api_server: ApiServer,
) -> Case {
    let spec = json!({ "cidr": "10.7.0.0/16", "perNodeNetworkPrefix": 24 });
    Case {
        name,
        kind: Kind::CIDRPool,
        spec: with(spec, fields),
        parser,
        api_server,
    }
}

fn with(mut spec: Value, fields: Value) -> Value {
    if let (Some(spec), Value::Object(fields)) = (spec.as_object_mut(), fields) {
        spec.extend(fields);
    }
    spec
}
