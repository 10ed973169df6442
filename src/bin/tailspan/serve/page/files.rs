//! The page: plain files in the binary, read by the browser as they are. Nothing is built, nothing comes from elsewhere.

use axum::Router;
use axum::extract::{Path, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

const INDEX: &str = include_str!("index.html");
/// What the page is made of, below `/page/`.
const FILES: [(&str, &str); 25] = [
    ("address.js", include_str!("address.js")),
    ("ask.js", include_str!("ask.js")),
    ("colours.js", include_str!("colours.js")),
    ("dom.js", include_str!("dom.js")),
    ("filters.js", include_str!("filters.js")),
    ("health.js", include_str!("health.js")),
    ("heat.js", include_str!("heat.js")),
    ("heat_canvas.js", include_str!("heat_canvas.js")),
    ("heat_grid.js", include_str!("heat_grid.js")),
    ("icon.svg", include_str!("icon.svg")),
    ("main.js", include_str!("main.js")),
    ("map.js", include_str!("map.js")),
    ("map_layout.js", include_str!("map_layout.js")),
    ("over.js", include_str!("over.js")),
    ("search.js", include_str!("search.js")),
    ("span_details.js", include_str!("span_details.js")),
    ("sparkline.js", include_str!("sparkline.js")),
    ("style.css", include_str!("style.css")),
    ("trace.js", include_str!("trace.js")),
    ("trace_list.js", include_str!("trace_list.js")),
    ("trace_tree.js", include_str!("trace_tree.js")),
    ("views.css", include_str!("views.css")),
    ("waterfall.js", include_str!("waterfall.js")),
    ("window.js", include_str!("window.js")),
    ("words.js", include_str!("words.js")),
];
/// Scripts and styles are files of ours and nothing else; whatever a span says stays text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// The page at `/`, and where Zipkin has its own.
pub fn router() -> Router {
    Router::new()
        .route("/", get(async || file_response("index.html", INDEX)))
        .route("/page/{file}", get(file))
        .route("/zipkin", get(async || Redirect::temporary("/")))
        .route("/zipkin/", get(async || Redirect::temporary("/")))
        .layer(from_fn(strict))
}

/// True for what anyone may have: the page itself, which holds nothing of the store.
pub fn free(path: &str) -> bool {
    matches!(path, "/" | "/zipkin" | "/zipkin/") || path.starts_with("/page/")
}

async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(own, _)| *own == name) {
        Some((name, text)) => file_response(name, text),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn file_response(name: &str, text: &'static str) -> Response {
    let kind = match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/javascript; charset=utf-8",
    };
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

async fn strict(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // Another version may be started at the same address.
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    /// The texts between `before` and the next quote.
    fn quoted<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
        text.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect()
    }

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin/tailspan/serve/page");
        let entries = fs::read_dir(folder).expect("the folder of the page");
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        let there: BTreeSet<String> = names.filter(|name| name != "files.rs" && name != "index.html").collect();
        let served = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(there, served);
    }

    #[test]
    fn whatever_a_file_asks_for_is_there() {
        let served: BTreeSet<&str> = FILES.iter().map(|(name, _)| *name).collect();
        for (file, text) in FILES.iter().filter(|(name, _)| name.ends_with(".js")) {
            for wanted in quoted(text, "from \"./") {
                assert!(served.contains(wanted), "{file} imports {wanted}");
            }
        }
        let wanted = [quoted(INDEX, "href=\"page/"), quoted(INDEX, "src=\"page/")].concat();
        assert!(wanted.len() >= 4, "{wanted:?}");
        assert!(wanted.iter().all(|name| served.contains(name)), "{wanted:?}");
    }

    #[test]
    fn nothing_comes_from_elsewhere_and_nothing_is_inline() {
        for (file, text) in FILES.iter().chain([&("index.html", INDEX)]) {
            // A part of the same drawing.
            let text = text.replace("url(#", "");
            for word in [
                "<style",
                " style=",
                "onclick",
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "eval(",
                "@import",
                "url(",
            ] {
                assert!(!text.contains(word), "{file} holds {word}");
            }
            let foreign = text.split("https://").skip(1).filter(|rest| !rest.starts_with("logs.example"));
            assert_eq!(foreign.count(), 0, "{file} names another host");
        }
        assert_eq!(INDEX.matches("<script").count(), 1);
        assert!(INDEX.contains("<script type=\"module\" src="));
    }
}
