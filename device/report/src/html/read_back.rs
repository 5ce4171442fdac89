//! A page, read back by an HTML parser as a browser reads it: for tests.
#![allow(clippy::missing_panics_doc, clippy::unwrap_used, reason = "an assertion of tests")]

use scraper::{ElementRef, Html, Selector};

/// The page as a browser reads it. Panics if anything is wrong with it, runs, or is elsewhere.
pub fn parsed(text: &str) -> Html {
    let html = Html::parse_document(text);
    assert!(html.errors.is_empty(), "{}", html.errors.join("; "));
    for element in html.root_element().descendent_elements() {
        let name = element.value().name();
        assert!(!["script", "iframe", "link", "object", "embed", "base"].contains(&name), "<{name}>");
        for (attribute, value) in element.value().attrs() {
            assert!(!attribute.starts_with("on"), "{attribute}");
            assert!(value.starts_with("data:") || !value.contains("NaN"), "{attribute}={value}");
            let address = ["src", "href", "srcset", "action", "poster", "background"].contains(&attribute);
            assert!(!address || value.starts_with("data:") || value.starts_with('#'), "{attribute}={value}");
        }
    }
    html
}

/// All elements that a CSS selector means, in their order.
pub fn all<'a>(html: &'a Html, selector: &str) -> Vec<ElementRef<'a>> {
    html.select(&Selector::parse(selector).unwrap()).collect()
}

/// The text in an element.
pub fn text_of(element: ElementRef<'_>) -> String {
    element.text().collect::<Vec<_>>().join("")
}
