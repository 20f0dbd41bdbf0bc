//! Prometheus's text format: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::Write;

use super::family::{FAMILIES, Family, Kind};

/// A metric by its name, and its labels as they are written.
pub(super) type Key = (&'static str, String);

fn family(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.name == name)
}

/// The labels of a database's metrics, `database` first.
pub(super) fn labels(database: &str, others: &[(&str, &str)]) -> String {
    let mut text = label("database", database);
    for (name, value) in others {
        text.push(',');
        text.push_str(&label(name, value));
    }
    text
}

pub(super) fn label(name: &str, value: &str) -> String {
    let mut text = format!("{name}=\"");
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
    text.push('"');
    text
}

/// The samples with the heads of their families; `samples` are in order.
pub(super) fn render<'s>(samples: impl Iterator<Item = (&'s Key, &'s f64)>) -> String {
    let mut text = String::new();
    let mut last = None;
    for ((name, labels), value) in samples {
        if last != Some(name)
            && let Some(head) = family(name)
        {
            let _ = writeln!(text, "# HELP {name} {}", head.help);
            let _ = writeln!(text, "# TYPE {name} {}", head.kind.word());
            last = Some(name);
        }
        let _ = writeln!(text, "{name}{{{labels}}} {value}");
    }
    text
}

/// Reads a sample that [`render`] wrote. `None` for a comment, and for a metric that is not known here.
///
/// # Errors
/// A sentence on what is wrong with the line.
pub(super) fn parse(line: &str) -> Result<Option<(Key, f64)>, String> {
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let wrong = || format!("'{line}' is no sample");
    let (name, rest) = line.split_once('{').ok_or_else(wrong)?;
    let (labels, value) = rest.rsplit_once("} ").ok_or_else(wrong)?;
    let value: f64 = value.parse().map_err(|_| wrong())?;
    Ok(family(name).map(|family| ((family.name, labels.to_owned()), value)))
}

pub(super) fn is_counter(key: &Key) -> bool {
    family(key.0).is_some_and(|family| family.kind == Kind::Counter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_whatever_a_path_is_called() {
        let odd = "/srv/a \"b\"\\c}\n 1/app.db";
        let key = (FAMILIES[1].name, labels(odd, &[]));
        let text = render([(&key, &0.5)].into_iter());
        let samples: Vec<_> = text
            .lines()
            .filter_map(|line| parse(line).expect("a sample"))
            .collect();
        assert_eq!(samples, [(key, 0.5)]);
    }

    #[test]
    fn a_line_that_is_no_sample_is_told() {
        assert!(parse("safestep_revision").is_err());
        assert!(parse("safestep_revision{database=\"a\"} many").is_err());
        assert_eq!(parse("another_metric{a=\"b\"} 1"), Ok(None));
    }
}
