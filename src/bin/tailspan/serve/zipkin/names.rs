//! Lists of names: services, spans and remote services of a service, tags to complete.
//!
//! Names are in lower case, as Zipkin has them, each once, in order.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use tailspan::{ListFilter, Listed, Snapshot, TagScope, text_of};

use super::super::refusal::Refusal;
use super::ask::Api;
use super::request::Parameters;

/// Lists with more services, or values, than this may be kept by browsers.
const KEPT_ABOVE: usize = 3;

type Answer = Result<Response, Refusal>;

/// `GET /api/v2/services`
pub async fn services(State(api): State<Arc<Api>>) -> Answer {
    let names = api.ask(|api, snapshot, _| if api.search_enabled { known_services(snapshot) } else { Ok(Vec::new()) });
    let names = names.await?;
    Ok(api.names(&names, names.len() > KEPT_ABOVE))
}

/// `GET /api/v2/spans`
pub async fn spans(State(api): State<Arc<Api>>, parameters: Parameters) -> Answer {
    of_service(api, &parameters, |snapshot, filter| {
        let listed = snapshot.operations_where(filter).and_then(Listed::into_complete)?;
        Ok(listed.into_iter().filter_map(|operation| operation.name).collect())
    })
    .await
}

/// `GET /api/v2/remoteServices`
pub async fn remote_services(State(api): State<Arc<Api>>, parameters: Parameters) -> Answer {
    of_service(api, &parameters, |snapshot, filter| {
        let listed = snapshot.remote_services_where(filter).and_then(Listed::into_complete)?;
        Ok(listed.into_iter().map(|remote| remote.remote_service).collect())
    })
    .await
}

/// `GET /api/v2/autocompleteKeys`
pub async fn autocomplete_keys(State(api): State<Arc<Api>>) -> Response {
    let keys: &[String] = if api.search_enabled { &api.autocomplete_keys } else { &[] };
    api.names(keys, true)
}

/// `GET /api/v2/autocompleteValues`
pub async fn autocomplete_values(State(api): State<Arc<Api>>, parameters: Parameters) -> Answer {
    let key = parameters.required("key")?.to_owned();
    if key.is_empty() {
        return Err(Refusal::invalid("key was empty"));
    }
    let values = api.ask(move |api, snapshot, _| {
        if !api.search_enabled || !api.autocomplete_keys.contains(&key) {
            return Ok(Vec::new());
        }
        let filter = ListFilter::new().scope(TagScope::Span);
        let listed = snapshot.attribute_values_where(&key, &filter)?;
        Ok(in_order(listed.items.iter().map(|entry| text_of(&entry.value).into_owned())))
    });
    let values = values.await?;
    Ok(api.names(&values, values.len() > KEPT_ABOVE))
}

/// What a service has, in whatever case its name is written.
async fn of_service(
    api: Arc<Api>,
    parameters: &Parameters,
    list: impl Fn(&Snapshot, &ListFilter) -> tailspan::Result<Vec<String>> + Send + 'static,
) -> Answer {
    let wanted = parameters.required("serviceName")?.to_lowercase();
    let asked = api.ask(move |api, snapshot, _| {
        if !api.search_enabled {
            return Ok((Vec::new(), false));
        }
        let mut names = Vec::new();
        for entry in snapshot.services()? {
            let Some(service) = entry.service.filter(|service| service.to_lowercase() == wanted) else { continue };
            names.extend(list(snapshot, &ListFilter::new().service(service))?);
        }
        let keep = known_services(snapshot)?.len() > KEPT_ABOVE;
        Ok((in_order(names.iter().map(|name| name.to_lowercase())), keep))
    });
    let (names, keep) = asked.await?;
    Ok(api.names(&names, keep))
}

fn known_services(snapshot: &Snapshot) -> Result<Vec<String>, Refusal> {
    let services = snapshot.services()?;
    Ok(in_order(services.into_iter().filter_map(|entry| entry.service).map(|service| service.to_lowercase())))
}

fn in_order(names: impl Iterator<Item = String>) -> Vec<String> {
    let names: BTreeSet<String> = names.filter(|name| !name.is_empty()).collect();
    names.into_iter().collect()
}
