//! Lists: filters, search, order, pages.

use serde_json::{Value, json};

use super::reply::{self, Reply};
use super::request::Request;

const USUAL_SIZE: usize = 20;
const LARGEST_SIZE: usize = 100;

/// A page of a list, before it is shown.
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) number: usize,
    pagination: Value,
}

/// The page that was asked for.
pub(super) fn page<T>(request: &Request, all: Vec<T>) -> Result<Page<T>, Reply> {
    let asked = request.parameter("page_size").and_then(|size| size.parse().ok());
    let size = asked
        .filter(|&size| size > 0)
        .map_or(USUAL_SIZE, |size: usize| size.min(LARGEST_SIZE));
    let count = all.len();
    let pages = count.div_ceil(size).max(1);
    let number = match request.parameter("page") {
        None => Some(1),
        Some("last") => Some(pages),
        Some(text) => text.parse().ok(),
    };
    let number = number
        .filter(|number| (1..=pages).contains(number))
        .ok_or_else(|| reply::detail(404, "Invalid page."))?;
    let first = (number - 1) * size;
    let items: Vec<T> = all.into_iter().skip(first).take(size).collect();
    let pagination = json!({
        "next": if number < pages { number + 1 } else { 0 },
        "previous": number - 1,
        "count": count,
        "current": number,
        "total_pages": pages,
        "start_index": if count == 0 { 0 } else { first + 1 },
        "end_index": first + items.len(),
    });
    Ok(Page {
        items,
        number,
        pagination,
    })
}

impl<T> Page<T> {
    /// The answer, with these items, which need not be the page's: see `applications`.
    pub(super) fn answer(self, results: Vec<Value>) -> Reply {
        self.answer_completed(results, json!({}))
    }

    /// [`Self::answer`] with what the search box of the interface completes.
    pub(super) fn answer_completed(self, results: Vec<Value>, autocomplete: Value) -> Reply {
        reply::ok(json!({ "pagination": self.pagination, "results": results, "autocomplete": autocomplete }))
    }
}

/// Whether one of `fields` has each word of `search`, whatever the case. Words within quotation marks are one.
pub(super) fn found(request: &Request, fields: &[&str]) -> bool {
    let Some(search) = request.parameter("search") else {
        return true;
    };
    let fields: Vec<_> = fields.iter().map(|field| field.to_lowercase()).collect();
    let has = |word: &str| fields.iter().any(|field| field.contains(word));
    words(&search.to_lowercase()).iter().all(|word| has(word))
}

fn words(search: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in search.split('"').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(ToOwned::to_owned));
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether the parameter, if there is one, is this text.
pub(super) fn is(request: &Request, name: &str, value: &str) -> bool {
    request.parameter(name).is_none_or(|wanted| wanted == value)
}

/// Refuses a filter that the database cannot compare with.
pub(super) fn no_nul(request: &Request) -> Result<(), Reply> {
    match request.query.iter().find(|(_, value)| value.contains('\0')) {
        None => Ok(()),
        Some((name, _)) => Err(reply::json(
            400,
            json!({ name.as_str(): ["Null characters are not allowed."] }),
        )),
    }
}

/// Sorts by the parameter `ordering` if `key` knows it, else by `usual`. `-` is backwards.
pub(super) fn sort<T, K: Ord>(request: &Request, items: &mut [T], usual: &str, key: impl Fn(&T, &str) -> Option<K>) {
    let asked = request.parameter("ordering").unwrap_or(usual);
    let known = items
        .first()
        .is_some_and(|first| key(first, asked.trim_start_matches('-')).is_some());
    let ordering = if known { asked } else { usual };
    let field = ordering.trim_start_matches('-');
    items.sort_by_key(|item| key(item, field));
    if ordering.starts_with('-') {
        items.reverse();
    }
}
