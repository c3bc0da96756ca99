// Which tokens a row has seen: those of its lane's set, and guesses up to itself. For `sample`: it needs its bindings, and
// `own_row`, `seen_from`, `guesses`.

fn is_guess(token: u32, before: u32) -> bool {
    return before < guesses && tokens[own_row - min(before, guesses)] == token;
}

// Eight guesses are the most. No loop: some drivers count the passes.
fn is_seen(token: u32) -> bool {
    return ((seen[seen_from + token / 32u] >> (token % 32u)) & 1u) == 1u
        || is_guess(token, 0u) || is_guess(token, 1u) || is_guess(token, 2u) || is_guess(token, 3u)
        || is_guess(token, 4u) || is_guess(token, 5u) || is_guess(token, 6u) || is_guess(token, 7u);
}
