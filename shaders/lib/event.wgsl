// What the host is told of a token; `LaneEvent` in `src/kernels/exits/finish.rs`. Needs `events` and `scores` of its kernel, and
// `rounds`, `stride` and `most` of its parameters.

const EVENT_HEAD = 11u;
const EVENTS_START = 4u;
const NO_TOKEN = 0xffffffffu;
const NOBODY = 0xffffffffu; // lane of an event that tells of no token

// Flags.
const STAYS = 1u;    // no guess before it was refused
const CHECKED = 2u;  // what was guessed in its place stood as a row behind
const COMPARED = 4u; // no token is told: what first layers and the whole network draw is compared

struct Event {
    lane: u32,
    serial: u32,
    token: u32,
    log_probability: u32, // bits
    depth: u32,
    position: u32,
    ended: u32,
    guess: u32,
    rows: u32,
    source: u32,
    flags: u32,
}

// Tells an event at its place, with the scores of a row; where its alternatives begin, or 0 where there is no room.
fn tell_event(place: u32, event: Event, row: u32) -> u32 {
    if place >= params.most { return 0u; }
    let at = EVENTS_START + place * params.stride;
    events[at] = event.lane;
    events[at + 1u] = event.serial;
    events[at + 2u] = event.token;
    events[at + 3u] = event.log_probability;
    events[at + 4u] = event.depth;
    events[at + 5u] = event.position;
    events[at + 6u] = event.ended;
    events[at + 7u] = event.guess;
    events[at + 8u] = event.rows;
    events[at + 9u] = event.source;
    events[at + 10u] = event.flags;
    for (var i = 0u; i < params.rounds; i++) { events[at + EVENT_HEAD + i] = scores[row * params.rounds + i]; }
    return at + EVENT_HEAD + params.rounds;
}
