//! Sockets that remember translations, as people read them. Pure.

use std::fmt::Write as _;

use comfy_table::{Table, presets};

use super::lines;
use crate::view::sockets::{
    BackendIs, LeftOut, NamespacesView, NotAsked, ProcessView, SocketView, SocketsView, TranslationView,
};

/// A row a translation; below them what was looked into, and what was not.
#[must_use]
pub fn text(view: &SocketsView) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["PROCESS", "NAMESPACE", "LOCAL", "HOW", "DIALLED", "SERVICE", "BACKEND"]);
    for socket in &view.sockets {
        for translation in &socket.translations {
            table.add_row(row(socket, translation));
        }
    }
    let mut out = format!("{table}\n\n");
    namespaces(&mut out, view.sockets.len(), &view.namespaces);
    not_asked(&mut out, view.not_asked);
    lines(&out)
}

fn row(socket: &SocketView, translation: &TranslationView) -> [String; 7] {
    let TranslationView { how, dialled, service, port_name, backend, backend_is } = translation;
    let process = |ProcessView { pid, name }: &ProcessView| format!("{pid} {name}");
    let processes: Vec<String> = socket.processes.iter().map(process).collect();
    let processes = if processes.is_empty() { "-".to_owned() } else { processes.join(", ") };
    let service = match (service, port_name.as_deref()) {
        (None, _) => "-".to_owned(),
        (Some(service), None | Some("")) => service.clone(),
        (Some(service), Some(port)) => format!("{service}:{port}"),
    };
    let backend = match backend_is {
        BackendIs::Serving => backend.clone(),
        BackendIs::Left => format!("{backend} (has left the set)"),
        BackendIs::Unknown => format!("{backend} (no Service is dialled so now)"),
    };
    let (namespace, local) = (socket.namespace.to_string(), socket.local.clone());
    [processes, namespace, local, how.label().to_owned(), dialled.clone(), service, backend]
}

fn namespaces(out: &mut String, sockets: usize, view: &NamespacesView) {
    let NamespacesView { looked_into, left_out, unknown_processes } = view;
    // Writing to a String cannot fail.
    _ = writeln!(out, "{} in {}", counted(sockets, "socket"), counted(*looked_into, "network namespace"));
    for LeftOut { namespace, pid, why } in left_out {
        _ = writeln!(out, "not looked into: network namespace {namespace} of process {pid}: {why}");
    }
    if *unknown_processes > 0 {
        _ = writeln!(
            out,
            "not looked into: the network namespaces of {} that this one may not look at",
            counted(*unknown_processes, "process")
        );
    }
}

fn not_asked(out: &mut String, NotAsked { without_process, not_allowed }: NotAsked) {
    if without_process > 0 {
        let sockets = counted(without_process, "socket");
        _ = writeln!(
            out,
            "not asked: {sockets} that no process has open, as far as it can be seen from here"
        );
    }
    if not_allowed > 0 {
        let sockets = counted(not_allowed, "socket");
        _ = writeln!(
            out,
            "not asked: {sockets} of processes that this one may not trace (CAP_SYS_PTRACE, Linux 5.6)"
        );
    }
}

fn counted(number: usize, what: &str) -> String {
    match (number, what) {
        (1, what) => format!("1 {what}"),
        (number, "process") => format!("{number} processes"),
        (number, what) => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sockets::How;

    #[test]
    fn a_row_a_translation_and_what_was_not_seen_is_said() {
        let translation = |how, service: Option<&str>, backend_is| TranslationView {
            how,
            dialled: "10.96.0.10:53".to_owned(),
            service: service.map(str::to_owned),
            port_name: service.map(|_| "dns".to_owned()),
            backend: "10.244.1.5:5353".to_owned(),
            backend_is,
        };
        let socket = SocketView {
            namespace: 4_026_531_840,
            processes: vec![ProcessView { pid: 7, name: "dig\u{1b}[31m".to_owned() }],
            local: "10.244.1.2:4000".to_owned(),
            peer: None,
            cookie: 1,
            translations: vec![
                translation(How::Connected, Some("kube-system/dns"), BackendIs::Serving),
                translation(How::Recent, Some("kube-system/dns"), BackendIs::Left),
                translation(How::Recent, None, BackendIs::Unknown),
            ],
        };
        let left_out = vec![LeftOut { namespace: 5, pid: 9, why: "no".to_owned() }];
        let view = SocketsView {
            pin_root: "/pins".to_owned(),
            sockets: vec![socket],
            not_asked: NotAsked { without_process: 2, not_allowed: 1 },
            namespaces: NamespacesView { looked_into: 1, left_out, unknown_processes: 3 },
        };
        let said = text(&view);
        let words: Vec<String> =
            said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let row = "7 dig\\u{1b}[31m 4026531840 10.244.1.2:4000";
        let expected = [
            "PROCESS NAMESPACE LOCAL HOW DIALLED SERVICE BACKEND".to_owned(),
            format!("{row} connected 10.96.0.10:53 kube-system/dns:dns 10.244.1.5:5353"),
            format!("{row} recent 10.96.0.10:53 kube-system/dns:dns 10.244.1.5:5353 (has left the set)"),
            format!("{row} recent 10.96.0.10:53 - 10.244.1.5:5353 (no Service is dialled so now)"),
            String::new(),
            "1 socket in 1 network namespace".to_owned(),
            "not looked into: network namespace 5 of process 9: no".to_owned(),
            "not looked into: the network namespaces of 3 processes that this one may not look at".to_owned(),
            "not asked: 2 sockets that no process has open, as far as it can be seen from here".to_owned(),
            "not asked: 1 socket of processes that this one may not trace (CAP_SYS_PTRACE, Linux 5.6)"
                .to_owned(),
        ];
        assert_eq!(words, expected);
    }
}
