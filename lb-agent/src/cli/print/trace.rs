//! Decisions as people read them, a line each. Pure.

use crate::shown::escaped;
use crate::view::trace::{DecisionView, HowView, VerdictView};

/// The names of the columns.
#[must_use]
pub fn header() -> String {
    columns(["TIME", "PROCESS", "POD", "DIALLED", "SERVICE", "GOT"])
}

/// One decision.
#[must_use]
pub fn line(view: &DecisionView) -> String {
    let process = format!("{} {}", view.pid, view.process);
    let pod = view.pod.as_ref().map_or_else(|| "-".to_owned(), crate::view::trace::PodView::label);
    let dialled = format!("{} {}", view.protocol, view.dialled.as_deref().unwrap_or("?"));
    let service = match (&view.service, view.port_name.as_deref()) {
        (None, _) => "-".to_owned(),
        (Some(service), None | Some("")) => service.clone(),
        (Some(service), Some(port)) => format!("{service}:{port}"),
    };
    columns([&view.time, &process, &pod, &dialled, &service, &got(view)])
}

fn got(view: &DecisionView) -> String {
    let pool = view.pool.as_ref().map(|pool| format!(" in pool {pool}")).unwrap_or_default();
    let how = match view.how {
        None => "",
        Some(HowView::Drawn) => ", drawn",
        Some(HowView::FirstOfClient) => ", the client's first",
        Some(HowView::KeptByClient) => ", kept by session affinity",
        Some(HowView::KeptBySocket) => ", kept by the socket",
    };
    match view.verdict {
        VerdictView::Forwarded => format!("{}{pool}{how}", view.backend.as_deref().unwrap_or("?")),
        VerdictView::Refused => format!("refused ({}): {}", view.outcome, why(&view.outcome)),
        VerdictView::LeftAlone => format!("left alone ({}): {}", view.outcome, why(&view.outcome)),
    }
}

/// The outcomes that are no backend, by their words.
fn why(outcome: &str) -> &'static str {
    match outcome {
        "no_backends" => "the Service has no backend for this node",
        "unproven" => "what the maps hold does not prove itself",
        "unknown_port" => "the Service has no such port",
        "agent_socket" => "it is the agent's own connection",
        "skipped" => "the pod is labelled so",
        "stale" => "what is known is older than --max-stale",
        "not_a_service" => "no Service is dialled",
        "not_our_protocol" => "neither TCP nor UDP",
        _ => "see the outcome",
    }
}

/// The narrowest that a column is, in characters. Lines come one by one, so that a wider text moves the rest of its own.
const WIDTHS: [usize; 6] = [24, 20, 36, 22, 24, 0];

fn columns<T: AsRef<str>>(texts: [T; 6]) -> String {
    let padded = texts.iter().zip(WIDTHS).map(|(text, width)| format!("{:width$}", escaped(text.as_ref())));
    let line = padded.collect::<Vec<_>>().join("  ");
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::trace::PodView;

    #[test]
    fn a_line_says_who_dialled_what_and_what_became_of_it() {
        let forwarded = DecisionView {
            time: "2026-11-28T21:03:05.123Z".to_owned(),
            pid: 4711,
            process: "curl".to_owned(),
            pod: Some(PodView {
                uid: "u1".into(),
                namespace: Some("shop".into()),
                name: Some("cart".into()),
            }),
            protocol: "TCP".to_owned(),
            hook: "connect4".to_owned(),
            dialled: Some("10.96.0.11:80".to_owned()),
            service: Some("default/web".to_owned()),
            port_name: Some("http".to_owned()),
            id: 7,
            revision: 1,
            verdict: VerdictView::Forwarded,
            outcome: "forwarded".to_owned(),
            backend: Some("10.244.1.3:9376".to_owned()),
            pool: Some("p3".to_owned()),
            how: Some(HowView::KeptByClient),
        };
        let refused = DecisionView {
            verdict: VerdictView::Refused,
            outcome: "no_backends".to_owned(),
            backend: None,
            pool: None,
            how: None,
            pod: None,
            port_name: None,
            ..forwarded.clone()
        };
        let words = |line: String| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(
            words(line(&forwarded)),
            "2026-11-28T21:03:05.123Z 4711 curl shop/cart TCP 10.96.0.11:80 default/web:http 10.244.1.3:9376 in pool p3, kept by session affinity"
        );
        assert_eq!(
            words(line(&refused)),
            "2026-11-28T21:03:05.123Z 4711 curl - TCP 10.96.0.11:80 default/web refused (no_backends): the Service has no backend for this node"
        );
        assert_eq!(words(header()), "TIME PROCESS POD DIALLED SERVICE GOT");
    }

    #[test]
    fn every_outcome_but_a_backend_has_its_words() {
        for outcome in lb_common::outcome::Outcome::ALL {
            let label = outcome.label();
            let has_none = ["forwarded", "shown_as_dialled", "shown_as_it_is"].contains(&label);
            assert_eq!(why(label) == "see the outcome", has_none, "{label}");
        }
    }
}
