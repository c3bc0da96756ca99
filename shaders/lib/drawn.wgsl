// A drawn token on its way to the host: whether it ends a sequence, and its alternatives. Needs `lists`, `drawn` and `events` of
// its kernel, and `ends` of its parameters.

fn is_end(token: u32) -> bool {
    let count = lists[params.ends];
    for (var i = 0u; i < count; i++) {
        if lists[params.ends + 1u + i] == token { return true; }
    }
    return false;
}

// Alternatives of the draw at a place of the list, told behind an event; `behind` is 0 where it had no room.
fn tell_alternatives(place: u32, behind: u32) {
    if behind == 0u { return; }
    for (var i = 2u; i < DRAWN; i++) { events[behind + i - 2u] = drawn[place * DRAWN + i]; }
}
