//! The older text form of Prometheus (version 0.0.4), for readers that do not ask for OpenMetrics.

use std::collections::HashMap;

/// The same metrics: families of counters and infos bear the names of their samples, and units are not told apart.
pub(crate) fn plain(open_metrics: &str) -> String {
    let ends: HashMap<&str, &str> = open_metrics.lines().filter_map(renamed).collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        let described = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
        let name = described.and_then(|rest| rest.split(' ').next());
        if line.starts_with("# UNIT ") || line == "# EOF" {
            continue;
        }
        match name.and_then(|name| Some((name, ends.get(name)?))) {
            Some((name, end)) => {
                let (keyword, rest) = line.split_at("# HELP ".len());
                let rest = &rest[name.len()..];
                let rest = if *end == "_info" && keyword == "# TYPE " { " gauge" } else { rest };
                text.push_str(&format!("{keyword}{name}{end}{rest}\n"));
            }
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

/// A family whose samples have another name, and what comes at the end of that.
fn renamed(line: &str) -> Option<(&str, &'static str)> {
    let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
    match kind {
        "counter" => Some((name, "_total")),
        "info" => Some((name, "_info")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_called_as_their_samples_are() {
        let open = "# HELP a_seconds Time.\n# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n\
                    a_seconds_sum 1.0\n# HELP b Things.\n# TYPE b counter\nb_total{c=\"d\"} 1\n\
                    # HELP v Version.\n# TYPE v info\nv_info{n=\"1\"} 1\n# EOF\n";
        let expected = "# HELP a_seconds Time.\n# TYPE a_seconds histogram\na_seconds_sum 1.0\n\
                        # HELP b_total Things.\n# TYPE b_total counter\nb_total{c=\"d\"} 1\n\
                        # HELP v_info Version.\n# TYPE v_info gauge\nv_info{n=\"1\"} 1\n";
        assert_eq!(plain(open), expected);
    }
}
