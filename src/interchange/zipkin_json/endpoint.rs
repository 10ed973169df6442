//! Endpoints: names in lower case, addresses parsed, and nothing that is empty.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Deserialize;

use super::super::scalar::Scalar;
use crate::model::{Endpoint, RejectReason};

/// An endpoint as it stands in JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, bound(deserialize = "'de: 'a"))]
pub struct EndpointShape<'a> {
    service_name: Scalar<'a>,
    ipv4: Scalar<'a>,
    ipv6: Scalar<'a>,
    port: Scalar<'a>,
}

/// The normalised endpoint; `None` if nothing is set.
///
/// # Errors
/// Malformed if a field has the wrong type or the port is above 65535.
pub fn read_endpoint(shape: &EndpointShape<'_>) -> Result<Option<Endpoint>, RejectReason> {
    let name = shape.service_name.text()?.to_lowercase();
    let mut endpoint = Endpoint { service_name: (!name.is_empty()).then_some(name), ..Endpoint::default() };
    for text in [shape.ipv4.text()?, shape.ipv6.text()?] {
        // What is no address is passed over, as Zipkin does.
        match text.parse().map(unmapped) {
            Ok(IpAddr::V4(ip)) => endpoint.ipv4 = Some(ip),
            Ok(IpAddr::V6(ip)) => endpoint.ipv6 = Some(ip),
            Err(_) => {}
        }
    }
    let port = u16::try_from(shape.port.integer()?.max(0)).map_err(|_| RejectReason::Malformed)?;
    endpoint.port = (port > 0).then_some(port);
    Ok((!endpoint.is_empty()).then_some(endpoint))
}

/// An IPv6 address that only wraps an IPv4 one, mapped or compatible, as the IPv4 one.
fn unmapped(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let low = u128::from(v6) as u32;
    let compatible = u128::from(v6) >> 32 == 0 && v6 != Ipv6Addr::LOCALHOST && v6 != Ipv6Addr::UNSPECIFIED;
    match v6.to_ipv4_mapped() {
        Some(v4) => IpAddr::V4(v4),
        None if compatible => IpAddr::V4(Ipv4Addr::from(low)),
        None => ip,
    }
}
