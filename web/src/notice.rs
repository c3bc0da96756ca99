//! Words to the person in the page itself: where nothing can be drawn, and for those who listen instead of looking.

fn set(element: &str, text: &str) {
    let found = web_sys::window().and_then(|window| window.document()).and_then(|page| page.get_element_by_id(element));
    if let Some(found) = found {
        found.set_text_content(Some(text));
    }
}

/// Shows a message above all else, or takes it away where it is empty.
pub fn show(message: &str) {
    set("notice", message);
}

/// Says something to screen readers, which cannot look into a canvas.
pub fn say(message: &str) {
    set("said", message);
}
