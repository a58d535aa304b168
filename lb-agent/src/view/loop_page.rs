//! The loop as one page that needs nothing else: no network, no script. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::loops::{CellView, LoopView};

/// The colours of a page, in a light and in a dark room, each pair of text and ground with a contrast of 4.5 or more.
const STYLE: &str = "\
:root{color-scheme:light dark;--ground:#fff;--text:#1b1f24;--weak:#57606a;--line:#d0d7de;--own:26,127,55;--other:9,105,218;--open:#b3261e}
@media (prefers-color-scheme:dark){:root{--ground:#0d1117;--text:#e6edf3;--weak:#9198a1;--line:#3d444d;--own:63,185,80;--other:88,166,255;--open:#ff8a80}}
body{background:var(--ground);color:var(--text);font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}p{margin:.25rem 0}
.state{color:var(--weak)}.verdict{display:flex;gap:1rem;align-items:center;margin:1.5rem 0;font-size:1.15rem}
.verdict svg{flex:none;width:4rem;height:4rem}.closed{stroke:rgb(var(--own))}.open{stroke:var(--open)}
.scroll{overflow:auto;max-height:80vh;border:1px solid var(--line);border-radius:6px}.scroll:focus{outline:3px solid rgb(var(--other))}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}caption{text-align:left;color:var(--weak);padding:.5rem}
th,td{padding:.25rem .6rem;border:1px solid var(--line);text-align:right;white-space:nowrap}
th{background:var(--ground);position:sticky;text-align:left}thead th{top:0;z-index:1}tbody th{left:0}
.out{color:var(--open);font-weight:700;border:2px solid var(--open)}.none{color:var(--weak)}";

/// In place of a pool's name.
const NO_POOL: &str = "(no pool)";

/// The page. It is as long as there are cells and service ports.
#[must_use]
pub fn page(view: &LoopView) -> String {
    of(view, view.node.as_deref().unwrap_or("this node"), &about(view))
}

/// The page of several nodes. `about` says of how many, as a sentence.
#[must_use]
pub fn page_of_nodes(sum: &LoopView, about: &str) -> String {
    of(sum, "all nodes that were asked", &format!("<p class=\"state\">{}</p>\n", Escaped(about)))
}

/// `about` is HTML.
fn of(view: &LoopView, whose: &str, about: &str) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>The loop of {node}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n<main>\n\
         <h1>The loop of {node}</h1>\n",
        node = Escaped(whose),
    );
    out += about;
    out += &verdict(view);
    out += &matrix(view);
    out += &services(view);
    out += &not_covered(view);
    out + "</main>\n</body>\n</html>\n"
}

/// What a browser may load for the page: nothing.
pub const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

fn about(view: &LoopView) -> String {
    let Some(state) = &view.state else {
        return "<p class=\"state\">From the maps alone: no agent was asked.</p>\n".to_owned();
    };
    let pool = view.pool.as_deref().map_or_else(|| "In no pool".to_owned(), |pool| format!("Pool {pool}"));
    format!("<p class=\"state\">{}; {}</p>\n", Escaped(&pool), Escaped(&state.describe()))
}

/// A ring, and what it says in words: it is whole, or has a gap.
fn verdict(view: &LoopView) -> String {
    let is_closed = view.outside == 0;
    let (class, dashes) = if is_closed { ("closed", "") } else { ("open", " stroke-dasharray=\"70 18\"") };
    let kept: u64 = view.cells.iter().filter(|cell| cell.is_kept()).map(|cell| cell.connections).sum();
    let says = if is_closed {
        format!(
            "<strong>The loop is closed:</strong> of {kept} connections whose topology keeps them to the pool or the node, none left it."
        )
    } else {
        format!(
            "<strong>The loop is open:</strong> {} of {kept} connections left the pool that their topology keeps them to. Please report it.",
            view.outside
        )
    };
    let others: u64 = view.cells.iter().filter(|cell| !cell.is_kept()).map(|cell| cell.connections).sum();
    format!(
        "<div class=\"verdict\" role=\"status\"><svg viewBox=\"0 0 36 36\" aria-hidden=\"true\"><circle class=\"{class}\" cx=\"18\" cy=\"18\" \
         r=\"14\" fill=\"none\" stroke-width=\"5\"{dashes}/></svg><div><p>{says}</p>\n\
         <p>{others} more were of Services whose topology allows other pools, or that have none. {} were refused.</p></div></div>\n",
        view.refused
    )
}

/// Client pools down, backend pools across; the more connections, the stronger the colour.
fn matrix(view: &LoopView) -> String {
    if view.cells.is_empty() {
        return "<p>No connection to a Service was counted yet.</p>\n".to_owned();
    }
    let clients: BTreeSet<&Option<String>> = view.cells.iter().map(|cell| &cell.client_pool).collect();
    let backends: BTreeSet<&Option<String>> = view.cells.iter().map(|cell| &cell.backend_pool).collect();
    let sums = sums(&view.cells);
    let most = sums.values().map(|(sum, _)| *sum).max().unwrap_or(1);
    let mut out = String::from("<h2>From which pool to which</h2>\n");
    out += &head(
        "Connections, from the pool of the client (rows) to the pool of the backend (columns)",
        "Client pool",
        &backends,
        &[],
    );
    for client in clients {
        out += &format!("<tr><th scope=\"row\">{}</th>", pool(client));
        for backend in &backends {
            out += &cell(client, backend, sums.get(&(client, *backend)), most);
        }
        out += "</tr>\n";
    }
    out + "</tbody></table></div>\n"
}

/// How many, and how many of them are outside.
type Sums<'v> = BTreeMap<(&'v Option<String>, &'v Option<String>), (u64, u64)>;

fn sums(cells: &[CellView]) -> Sums<'_> {
    let mut sums = Sums::new();
    for cell in cells {
        let (sum, outside) = sums.entry((&cell.client_pool, &cell.backend_pool)).or_default();
        *sum += cell.connections;
        *outside += if cell.is_outside() { cell.connections } else { 0 };
    }
    sums
}

fn cell(client: &Option<String>, backend: &Option<String>, sum: Option<&(u64, u64)>, most: u64) -> String {
    match sum {
        None => "<td class=\"none\">0</td>".to_owned(),
        Some((sum, outside)) if *outside > 0 => format!("<td class=\"out\">{sum}, {outside} outside</td>"),
        Some((sum, _)) => {
            // At most a third, so that the number stays readable.
            let strength = 0.05 + 0.28 * *sum as f64 / most as f64;
            let colour = if client == backend { "own" } else { "other" };
            format!("<td style=\"background:rgba(var(--{colour}),{strength:.2})\">{sum}</td>")
        }
    }
}

fn services(view: &LoopView) -> String {
    if view.services.is_empty() {
        return String::new();
    }
    let backends: BTreeSet<&Option<String>> = view.cells.iter().map(|cell| &cell.backend_pool).collect();
    let mut out = String::from("<h2>By Service</h2>\n");
    out += &head(
        "Connections of each service port to the pool of the backend",
        "Service",
        &backends,
        &["Refused"],
    );
    let most = view
        .services
        .iter()
        .flat_map(|service| &service.cells)
        .map(|cell| cell.connections)
        .max()
        .unwrap_or(1);
    for service in &view.services {
        let name = format!("{}/{}", service.namespace, service.service);
        let port =
            if service.port_name.is_empty() { String::new() } else { format!(":{}", service.port_name) };
        out += &format!(
            "<tr><th scope=\"row\">{} {} IPv{}</th>",
            Escaped(&(name + &port)),
            Escaped(&service.protocol),
            service.family
        );
        for backend in &backends {
            let to: Vec<CellView> =
                service.cells.iter().filter(|cell| cell.backend_pool == **backend).cloned().collect();
            let sum = to.iter().map(|cell| cell.connections).sum::<u64>();
            let outside = to.iter().filter(|cell| cell.is_outside()).map(|cell| cell.connections).sum();
            let client = to.first().map_or(&None, |cell| &cell.client_pool);
            out += &cell(client, backend, (sum > 0).then_some(&(sum, outside)), most);
        }
        let class = if service.refused == 0 { " class=\"none\"" } else { "" };
        out += &format!("<td{class}>{}</td></tr>\n", service.refused);
    }
    out + "</tbody></table></div>\n"
}

/// A table that can be scrolled by keys, up to its body.
fn head(caption: &str, first: &str, pools: &BTreeSet<&Option<String>>, last: &[&str]) -> String {
    let mut out = format!(
        "<div class=\"scroll\" role=\"region\" aria-label=\"{caption}\" tabindex=\"0\"><table>\n<caption>{caption}</caption>\n\
         <thead><tr><th scope=\"col\">{first}</th>"
    );
    for name in pools.iter().map(|name| pool(name)).chain(last.iter().map(|name| (*name).to_owned())) {
        out += &format!("<th scope=\"col\">{name}</th>");
    }
    out + "</tr></thead>\n<tbody>\n"
}

fn not_covered(view: &LoopView) -> String {
    if view.not_covered.is_empty() {
        return String::new();
    }
    let mut out = String::from("<h2>Not covered</h2>\n<p>They are left as they are dialled.</p>\n<ul>\n");
    for left in &view.not_covered {
        out += &format!("<li>{}: {}</li>\n", Escaped(&left.service_port), Escaped(&left.why));
    }
    out + "</ul>\n"
}

fn pool(name: &Option<String>) -> String {
    Escaped(name.as_deref().unwrap_or(NO_POOL)).to_string()
}

/// A text as HTML shows it.
struct Escaped<'t>(&'t str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => write!(f, "{other}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::loops::{NotCovered, Reach, ServiceLoop};

    fn view(cells: Vec<CellView>, outside: u64) -> LoopView {
        LoopView {
            node: Some("n<1>".to_owned()),
            pool: Some("east".to_owned()),
            cells,
            outside,
            ..LoopView::default()
        }
    }

    fn cell(backend: &str, within: Reach) -> CellView {
        CellView {
            client_pool: Some("east".to_owned()),
            backend_pool: Some(backend.to_owned()),
            within,
            connections: 7,
        }
    }

    #[test]
    fn a_page_says_whether_the_loop_is_closed_and_escapes_what_comes_from_outside() {
        let mut closed = view(vec![cell("east", Reach::OwnPool), cell("we\"st&", Reach::AnyNode)], 0);
        closed.not_covered = vec![NotCovered { service_port: "a/b".to_owned(), why: "<script>".to_owned() }];
        let html = page(&closed);
        for part in [
            "<title>The loop of n&lt;1&gt;</title>",
            "The loop is closed:</strong> of 7 connections",
            "7 more were of Services",
            "<th scope=\"col\">we&quot;st&amp;</th>",
            "<li>a/b: &lt;script&gt;</li>",
            "<td style=\"background:rgba(var(--own),0.33)\">7</td><td style=\"background:rgba(var(--other),0.33)\">7</td>",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert!(!html.contains("class=\"out\"") && !html.contains("<script"), "{html}");
    }

    #[test]
    fn what_left_its_pool_is_marked_in_words_and_colour() {
        let mut open = view(vec![cell("west", Reach::OwnPool)], 7);
        open.services = vec![ServiceLoop {
            namespace: "default".to_owned(),
            service: "web".to_owned(),
            port_name: String::new(),
            protocol: "TCP".to_owned(),
            family: 4,
            cells: open.cells.clone(),
            refused: 0,
        }];
        let html = page(&open);
        assert!(html.contains("The loop is open:</strong> 7 of 7 connections"), "{html}");
        assert_eq!(
            html.matches("<td class=\"out\">7, 7 outside</td>").count(),
            2,
            "in sum and for its Service: {html}"
        );
    }

    /// Nothing is loaded, and every element is closed.
    #[test]
    fn a_page_needs_nothing_else() {
        let pools: Vec<CellView> = (0..50).map(|pool| cell(&format!("p{pool}"), Reach::AnyNode)).collect();
        let html = page(&view(pools, 0));
        for outside in ["http:", "https:", "src=", "href=", "url(", "@import", "<script"] {
            assert!(!html.contains(outside), "{outside}");
        }
        for element in [
            "html", "head", "body", "main", "table", "thead", "tbody", "tr", "th", "td", "div", "p", "svg",
            "style",
        ] {
            let opened =
                html.matches(&format!("<{element} ")).count() + html.matches(&format!("<{element}>")).count();
            assert_eq!(opened, html.matches(&format!("</{element}>")).count(), "{element}");
        }
    }
}
