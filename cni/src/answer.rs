//! What ipam-node answered to an ADD, and the result of the CNI specification that is made of it.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use rpc::v1::AllocateResponse;
use serde::Serialize;

use crate::spec::SpecVersion;

/// The addresses that an interface got; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer(Vec<Assigned>);

/// One address.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Assigned {
    address: IpNet,
    gateway: Option<IpAddr>,
    /// Destinations reached through the gateway; none without one.
    routes: Vec<IpNet>,
}

/// An answer that can't be right. The reservation stands then, until the runtime's DEL.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Not one address for every pool.
    #[error("{pools} pool(s) were named, {addresses} address(es) received")]
    Count {
        /// Pools of the request.
        pools: usize,
        /// Addresses in the answer.
        addresses: usize,
    },
    /// An allocation without address.
    #[error("IP can't be empty")]
    NoAddress,
    /// Not an address with prefix length.
    #[error("unexpected IP address format, received value: {0}")]
    Address(String),
    /// Not an address.
    #[error("unexpected Gateway address format, received value: {0}")]
    Gateway(String),
    /// Not a CIDR.
    #[error("unexpected Route destination format, received value: {0}, error: invalid CIDR address: {0}")]
    Route(String),
}

impl Answer {
    /// Reads the answer to a request that named `pools` pools. Routes of an allocation without gateway are ignored,
    /// and host bits in a destination cut off, as the Go implementation does.
    pub fn read(response: &AllocateResponse, pools: usize) -> Result<Self, AnswerError> {
        let addresses = response.allocations.len();
        if addresses != pools || addresses == 0 {
            return Err(AnswerError::Count { pools, addresses });
        }
        let assigned = response.allocations.iter().map(|allocation| {
            if allocation.ip.is_empty() {
                return Err(AnswerError::NoAddress);
            }
            let address = allocation
                .ip
                .parse()
                .map_err(|_| AnswerError::Address(allocation.ip.clone()))?;
            if allocation.gateway.is_empty() {
                return Ok(Assigned {
                    address,
                    gateway: None,
                    routes: Vec::new(),
                });
            }
            let gateway = allocation.gateway.parse();
            let gateway = gateway.map_err(|_| AnswerError::Gateway(allocation.gateway.clone()))?;
            let route = |dest: &str| {
                let parsed: Result<IpNet, _> = dest.parse();
                parsed
                    .map(|net| net.trunc())
                    .map_err(|_| AnswerError::Route(dest.to_owned()))
            };
            let routes = allocation
                .routes
                .iter()
                .map(|r| route(&r.dest))
                .collect::<Result<_, _>>()?;
            Ok(Assigned {
                address,
                gateway: Some(gateway),
                routes,
            })
        });
        assigned.collect::<Result<_, _>>().map(Self)
    }

    /// How many of the addresses a result of `version` can't express: versions before 0.3.0 have room for the first of
    /// each family only.
    #[must_use]
    pub fn dropped_in(&self, version: SpecVersion) -> usize {
        if version >= SpecVersion::V0_3_0 {
            return 0;
        }
        let families = [true, false].map(|v4| usize::from(self.first_of(v4).is_some()));
        self.0.len() - families[0] - families[1]
    }

    /// The result as `version` has it, indented as the CNI library prints it.
    pub fn to_json(&self, version: SpecVersion) -> Result<Vec<u8>, serde_json::Error> {
        use SpecVersion::{V0_1_0, V0_2_0, V0_3_0, V0_3_1, V0_4_0, V1_0_0, V1_1_0};
        match version {
            V0_1_0 | V0_2_0 => crate::json::to_indented(&Result02 {
                cni_version: version.as_str(),
                ip4: self.first_of(true).map(IpConfig02::new),
                ip6: self.first_of(false).map(IpConfig02::new),
                dns: Dns {},
            }),
            V0_3_0 | V0_3_1 | V0_4_0 => self.to_result(version, true),
            V1_0_0 | V1_1_0 => self.to_result(version, false),
        }
    }

    fn first_of(&self, v4: bool) -> Option<&Assigned> {
        self.0
            .iter()
            .find(|assigned| assigned.address.addr().is_ipv4() == v4)
    }

    fn to_result(&self, version: SpecVersion, before_1: bool) -> Result<Vec<u8>, serde_json::Error> {
        let ip = |assigned: &Assigned| IpConfig {
            version: before_1.then(|| {
                if assigned.address.addr().is_ipv4() {
                    "4"
                } else {
                    "6"
                }
            }),
            address: assigned.address,
            gateway: assigned.gateway,
        };
        crate::json::to_indented(&ResultSince03 {
            cni_version: version.as_str(),
            ips: self.0.iter().map(ip).collect(),
            routes: self.0.iter().flat_map(Assigned::routes).collect(),
            dns: before_1.then_some(Dns {}),
        })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IPs:")?;
        self.0
            .iter()
            .try_for_each(|assigned| write!(f, " {}", assigned.address))
    }
}

impl Assigned {
    fn routes(&self) -> impl Iterator<Item = Route> {
        self.routes.iter().map(|&dst| Route {
            dst,
            gw: self.gateway,
        })
    }
}

/// 0.1.0 and 0.2.0.
#[derive(Serialize)]
struct Result02 {
    #[serde(rename = "cniVersion")]
    cni_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip4: Option<IpConfig02>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip6: Option<IpConfig02>,
    dns: Dns,
}

#[derive(Serialize)]
struct IpConfig02 {
    ip: IpNet,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<IpAddr>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routes: Vec<Route>,
}

impl IpConfig02 {
    fn new(assigned: &Assigned) -> Self {
        Self {
            ip: assigned.address,
            gateway: assigned.gateway,
            routes: assigned.routes().collect(),
        }
    }
}

/// 0.3.0 to 1.1.0.
#[derive(Serialize)]
struct ResultSince03 {
    #[serde(rename = "cniVersion")]
    cni_version: &'static str,
    ips: Vec<IpConfig>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routes: Vec<Route>,
    /// Before 1.0.0 the library always prints it.
    #[serde(skip_serializing_if = "Option::is_none")]
    dns: Option<Dns>,
}

#[derive(Serialize)]
struct IpConfig {
    /// Before 1.0.0 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'static str>,
    address: IpNet,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<IpAddr>,
}

#[derive(Serialize)]
struct Route {
    dst: IpNet,
    #[serde(skip_serializing_if = "Option::is_none")]
    gw: Option<IpAddr>,
}

#[derive(Serialize)]
struct Dns {}

#[cfg(test)]
mod tests;
