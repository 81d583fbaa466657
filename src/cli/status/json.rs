//! The elements as JSON, which docs/status-json.md describes.

use super::element::Element;

/// One array, ended by a newline.
pub fn render(elements: &[Element]) -> serde_json::Result<String> {
    let text = serde_json::to_string_pretty(elements)? + "\n";
    // JSON lets these stand as they are, but some terminals obey them.
    let escaped = |c: char| match c {
        '\u{7f}'..='\u{9f}' => format!("\\u{:04x}", u32::from(c)),
        c => c.into(),
    };
    Ok(text.chars().map(escaped).collect())
}
