//! Words to the person, in the page itself: they are needed where nothing can be drawn.

/// Shows a message, or takes it away where there is none.
pub fn show(message: &str) {
    let element =
        web_sys::window().and_then(|window| window.document()).and_then(|page| page.get_element_by_id("notice"));
    if let Some(element) = element {
        element.set_text_content(Some(message));
    }
}
