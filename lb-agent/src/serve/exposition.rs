//! The two forms that Prometheus reads metrics in, and which of them a client wants. Pure.

use std::fmt::Write as _;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// <https://prometheus.io/docs/specs/om/open_metrics_spec/>, version 1.0.0.
    OpenMetrics,
    /// <https://prometheus.io/docs/instrumenting/exposition_formats/>, text, version 0.0.4.
    Text,
}

impl Form {
    /// What the header `Accept` asks for: OpenMetrics where it is named, and liked no less than plain text.
    #[must_use]
    pub fn of(accept: &str) -> Self {
        let weight_of = |media: &str| {
            let ranges = accept.split(',').map(str::trim);
            let of_media = ranges.filter(|range| {
                range.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media)
            });
            of_media.map(weight).fold(0.0_f32, f32::max)
        };
        let open = weight_of("application/openmetrics-text");
        if open > 0.0 && open >= weight_of("text/plain") { Self::OpenMetrics } else { Self::Text }
    }

    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// `open` is in OpenMetrics' form.
    #[must_use]
    pub fn of_text(self, open: String) -> String {
        match self {
            Self::OpenMetrics => open,
            Self::Text => text(&open),
        }
    }
}

/// `q`, from 0 to 1; 1 without one, and where it cannot be read.
fn weight(range: &str) -> f32 {
    let parameters = range.split(';').skip(1).map(str::trim);
    let written = parameters.filter_map(|parameter| parameter.strip_prefix("q=")).next();
    written
        .and_then(|written| written.parse().ok())
        .filter(|weight| (0.0..=1.0).contains(weight))
        .unwrap_or(1.0)
}

/// Counters and infos have the names of their samples there, and there are neither units nor an end.
fn text(open: &str) -> String {
    let mut out = String::with_capacity(open.len());
    let lines: Vec<&str> = open.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let words = |kind: &str| line.strip_prefix(kind).and_then(|rest| rest.split_once(' '));
        // Writing to a String cannot fail.
        if let Some((name, help)) = words("# HELP ") {
            let described =
                lines[index + 1..].iter().find_map(|line| line.strip_prefix("# TYPE ")?.strip_prefix(name));
            let name = sample_name(name, described.unwrap_or_default().trim());
            _ = writeln!(out, "# HELP {name} {help}");
        } else if let Some((name, kind)) = words("# TYPE ") {
            let old = match kind {
                "info" => "gauge",
                "unknown" => "untyped",
                kind => kind,
            };
            _ = writeln!(out, "# TYPE {} {old}", sample_name(name, kind));
        } else if !line.starts_with('#') {
            out += line;
            out.push('\n');
        }
    }
    out
}

fn sample_name(name: &str, kind: &str) -> String {
    match kind {
        "counter" => format!("{name}_total"),
        "info" => format!("{name}_info"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_receives_the_form_that_it_names() {
        for (accept, form) in [
            ("", Form::Text),
            ("*/*", Form::Text),
            ("text/plain", Form::Text),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Form::Text),
            ("application/openmetrics-text", Form::OpenMetrics),
            ("Application/OpenMetrics-Text; version=1.0.0", Form::OpenMetrics),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Form::OpenMetrics,
            ),
            ("application/openmetrics-text;q=0.2, text/plain;q=0.9", Form::Text),
            ("application/openmetrics-text;q=0", Form::Text),
            ("application/openmetrics-text;q=nonsense", Form::OpenMetrics),
            (",;,q=", Form::Text),
        ] {
            assert_eq!(Form::of(accept), form, "{accept:?}");
        }
    }

    #[test]
    fn the_older_form_names_counters_by_their_samples_and_has_no_end() {
        let open = "# HELP a_passes Passes.\n# TYPE a_passes counter\na_passes_total 7\n\
                    # HELP a_build This.\n# TYPE a_build info\na_build_info{version=\"1 # 2\"} 1\n\
                    # HELP a_age_seconds Age.\n# TYPE a_age_seconds gauge\n# UNIT a_age_seconds seconds\na_age_seconds 1.0\n\
                    # HELP a_odd Odd.\n# TYPE a_odd unknown\na_odd 1\n# EOF\n";
        let older = "# HELP a_passes_total Passes.\n# TYPE a_passes_total counter\na_passes_total 7\n\
                     # HELP a_build_info This.\n# TYPE a_build_info gauge\na_build_info{version=\"1 # 2\"} 1\n\
                     # HELP a_age_seconds Age.\n# TYPE a_age_seconds gauge\na_age_seconds 1.0\n\
                     # HELP a_odd Odd.\n# TYPE a_odd untyped\na_odd 1\n";
        assert_eq!(Form::Text.of_text(open.to_owned()), older);
        assert_eq!(Form::OpenMetrics.of_text(open.to_owned()), open);
    }
}
