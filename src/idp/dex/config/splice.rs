//! Where clients can be put into a text of the platform's. What comes out is a proposal: `document.rs` uses it only if it reads as the
//! document that was meant.

use super::document::Entries;

/// The names of the member, as they stand at the beginning of a line.
const MEMBER: &[&str] = &["staticClients", "\"staticClients\"", "'staticClients'"];

/// Texts that may hold the clients beside all that stood there, the plainest first. `listed`: is the member there?
pub(super) fn candidates(base: &str, listed: bool, entries: &Entries) -> Vec<String> {
    let items = |indent| entries.values().map(|entry| entry.write(indent)).collect::<String>();
    let lines: Vec<&str> = base.split_inclusive('\n').collect();
    if listed {
        return into_list(&lines, items);
    }
    let indent = first_key(&lines).map_or(0, |line| indent_of(lines[line]));
    let member = format!("{}staticClients:\n{}", " ".repeat(indent), items(indent));
    let mut found = vec![put(&lines, lines.len(), &member)];
    // A document may have an end, or end in a text that would take in what follows.
    if let Some(first) = first_key(&lines) {
        found.push(put(&lines, first, &member));
    }
    found
}

/// After the last item of the list, or in the place of what says that there is none.
fn into_list(lines: &[&str], items: impl Fn(usize) -> String) -> Vec<String> {
    let is_member = |line: &&str| {
        let line = line.trim_start();
        MEMBER.iter().any(|name| {
            let rest = line.strip_prefix(name).map(str::trim_start);
            rest.is_some_and(|rest| rest.starts_with(':'))
        })
    };
    let Some(member) = lines.iter().position(is_member) else {
        return Vec::new();
    };
    let column = indent_of(lines[member]);
    let (name, value) = lines[member].split_once(':').unwrap_or((lines[member], ""));
    let value = value.split(" #").next().unwrap_or_default();
    let value: String = value.chars().filter(|c| !c.is_whitespace()).collect();
    if matches!(value.as_str(), "[]" | "null" | "~") {
        let mut text = lines[..member].concat();
        text.push_str(&format!("{name}:\n{}", items(column)));
        text.push_str(&lines[member + 1..].concat());
        return vec![text];
    }
    let inside = |line: &&str| {
        let blank = line.trim().is_empty() || line.trim_start().starts_with('#');
        blank || indent_of(line) > column || (indent_of(line) == column && line.trim_start().starts_with('-'))
    };
    let end = lines[member + 1..]
        .iter()
        .position(|line| !inside(line))
        .map_or(lines.len(), |offset| member + 1 + offset);
    let item = lines[member + 1..end]
        .iter()
        .find(|line| line.trim_start().starts_with('-'));
    let block = items(item.map_or(column, |line| indent_of(line)));
    // Blank lines and comments after the last item belong to what follows, unless they are part of its text.
    let last = (member..end)
        .rev()
        .find(|line| *line == member || !(lines[*line].trim().is_empty() || lines[*line].trim_start().starts_with('#')))
        .unwrap_or(member);
    vec![put(lines, last + 1, &block), put(lines, end, &block)]
}

/// The lines with `text` before the one of this number.
fn put(lines: &[&str], number: usize, text: &str) -> String {
    let mut whole = lines[..number].concat();
    if !whole.is_empty() && !whole.ends_with('\n') {
        whole.push('\n');
    }
    whole.push_str(text);
    whole.push_str(&lines[number..].concat());
    whole
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The first line that is no comment, directive or mark of a document's beginning.
fn first_key(lines: &[&str]) -> Option<usize> {
    lines.iter().position(|line| {
        let text = line.trim();
        !(text.is_empty() || text.starts_with('#') || text.starts_with('%') || text == "---")
    })
}
