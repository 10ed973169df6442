//! Resources, scopes and endpoints as bytes: stored once each, in chapters and segments alike.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::bytes::{Reader, Writer};
use crate::error::{Result, ensure};
use crate::model::{Endpoint, EntityRef, KeyValue, Resource, Scope};

use super::value::{decode_value, encode_value};

/// Appends a resource.
pub fn encode_resource(resource: &Resource, out: &mut Writer) {
    out.u8(u8::from(resource.present));
    encode_attributes(&resource.attributes, out);
    out.varint(resource.dropped_attributes_count.into());
    out.block(resource.schema_url.as_bytes());
    out.varint(resource.entity_refs.len() as u64);
    for entity in &resource.entity_refs {
        out.block(entity.schema_url.as_bytes());
        out.block(entity.entity_type.as_bytes());
        encode_texts(&entity.id_keys, out);
        encode_texts(&entity.description_keys, out);
    }
    out.u8(u8::from(resource.local_endpoint.is_some()));
    if let Some(endpoint) = &resource.local_endpoint {
        encode_endpoint(endpoint, out);
    }
}

/// Reads a resource.
///
/// # Errors
/// Corrupt if the bytes are not what [`encode_resource`] writes.
pub fn decode_resource(reader: &mut Reader<'_>) -> Result<Resource> {
    let mut resource = Resource {
        present: reader.u8("resource presence")? != 0,
        attributes: decode_attributes(reader)?,
        dropped_attributes_count: decode_u32(reader)?,
        schema_url: reader.text("schema url")?.to_owned(),
        ..Resource::default()
    };
    for _ in 0..reader.count(4, "entities")? {
        resource.entity_refs.push(EntityRef {
            schema_url: reader.text("entity schema url")?.to_owned(),
            entity_type: reader.text("entity type")?.to_owned(),
            id_keys: decode_texts(reader)?,
            description_keys: decode_texts(reader)?,
        });
    }
    if reader.u8("endpoint presence")? != 0 {
        resource.local_endpoint = Some(decode_endpoint(reader)?);
    }
    Ok(resource)
}

/// Appends a scope.
pub fn encode_scope(scope: &Scope, out: &mut Writer) {
    out.u8(u8::from(scope.present));
    out.block(scope.name.as_bytes());
    out.block(scope.version.as_bytes());
    encode_attributes(&scope.attributes, out);
    out.varint(scope.dropped_attributes_count.into());
    out.block(scope.schema_url.as_bytes());
}

/// Reads a scope.
///
/// # Errors
/// Corrupt if the bytes are not what [`encode_scope`] writes.
pub fn decode_scope(reader: &mut Reader<'_>) -> Result<Scope> {
    Ok(Scope {
        present: reader.u8("scope presence")? != 0,
        name: reader.text("scope name")?.to_owned(),
        version: reader.text("scope version")?.to_owned(),
        attributes: decode_attributes(reader)?,
        dropped_attributes_count: decode_u32(reader)?,
        schema_url: reader.text("schema url")?.to_owned(),
    })
}

/// Appends an endpoint: presence bits, then what is present.
pub fn encode_endpoint(endpoint: &Endpoint, out: &mut Writer) {
    let bits = u8::from(endpoint.service_name.is_some())
        | u8::from(endpoint.ipv4.is_some()) << 1
        | u8::from(endpoint.ipv6.is_some()) << 2
        | u8::from(endpoint.port.is_some()) << 3;
    out.u8(bits);
    if let Some(name) = &endpoint.service_name {
        out.block(name.as_bytes());
    }
    if let Some(ip) = endpoint.ipv4 {
        out.bytes(&ip.octets());
    }
    if let Some(ip) = endpoint.ipv6 {
        out.bytes(&ip.octets());
    }
    if let Some(port) = endpoint.port {
        out.u16(port);
    }
}

/// Reads an endpoint.
///
/// # Errors
/// Corrupt if the bytes are not what [`encode_endpoint`] writes.
pub fn decode_endpoint(reader: &mut Reader<'_>) -> Result<Endpoint> {
    let bits = reader.u8("endpoint bits")?;
    ensure(bits < 16, || format!("endpoint bits {bits} are unknown"))?;
    let mut endpoint = Endpoint::default();
    if bits & 1 != 0 {
        endpoint.service_name = Some(reader.text("endpoint service")?.to_owned());
    }
    if bits & 2 != 0 {
        endpoint.ipv4 = Some(Ipv4Addr::from(reader.array::<4>("endpoint ipv4")?));
    }
    if bits & 4 != 0 {
        endpoint.ipv6 = Some(Ipv6Addr::from(reader.array::<16>("endpoint ipv6")?));
    }
    if bits & 8 != 0 {
        endpoint.port = Some(reader.u16("endpoint port")?);
    }
    Ok(endpoint)
}

fn encode_attributes(attributes: &[KeyValue], out: &mut Writer) {
    out.varint(attributes.len() as u64);
    for attribute in attributes {
        out.block(attribute.key.as_bytes());
        encode_value(&attribute.value, out);
    }
}

fn decode_attributes(reader: &mut Reader<'_>) -> Result<Vec<KeyValue>> {
    let count = reader.count(2, "attributes")?;
    (0..count)
        .map(|_| Ok(KeyValue { key: reader.text("attribute key")?.to_owned(), value: decode_value(reader)? }))
        .collect()
}

fn encode_texts(texts: &[String], out: &mut Writer) {
    out.varint(texts.len() as u64);
    texts.iter().for_each(|text| out.block(text.as_bytes()));
}

fn decode_texts(reader: &mut Reader<'_>) -> Result<Vec<String>> {
    let count = reader.count(1, "texts")?;
    (0..count).map(|_| Ok(reader.text("text")?.to_owned())).collect()
}

fn decode_u32(reader: &mut Reader<'_>) -> Result<u32> {
    let value = reader.varint("count")?;
    u32::try_from(value).map_err(|_| crate::error::Error::corrupt(format!("count {value} does not fit 32 bits")))
}
