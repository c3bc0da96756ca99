//! The colours of depth, alike on terminals and in the panel.
//!
//! The palette is viridis, whose steps rise evenly in lightness and stay apart for colour-blind readers: the first
//! round is dark, the last one light.

/// Ten even steps of the viridis colour map (public domain, CC0).
pub const VIRIDIS: [[u8; 3]; 10] = [
    [68, 1, 84],
    [72, 40, 120],
    [62, 74, 137],
    [49, 104, 142],
    [38, 130, 142],
    [31, 158, 137],
    [53, 183, 121],
    [109, 205, 89],
    [180, 222, 44],
    [253, 231, 37],
];

/// The colour at a place between 0 and 1.
pub fn at(place: f32) -> [u8; 3] {
    let place = place.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f32;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    let mix = place - place.floor();
    [0, 1, 2].map(|channel| {
        let (from, to) = (f32::from(VIRIDIS[low][channel]), f32::from(VIRIDIS[high][channel]));
        (from + (to - from) * mix).round() as u8
    })
}

/// The colour of a depth from 1 to `rounds`; others take the nearest end.
pub fn of_depth(depth: u32, rounds: u32) -> [u8; 3] {
    let rounds = rounds.max(1);
    at((depth.clamp(1, rounds) - 1) as f32 / (rounds.max(2) - 1) as f32)
}

/// Whether black text reads better on a colour than white.
pub fn is_light(rgb: [u8; 3]) -> bool {
    let [r, g, b] = rgb.map(f32::from);
    0.299 * r + 0.587 * g + 0.114 * b > 128.0
}

#[test]
fn depths_run_from_the_dark_end_to_the_light_one() {
    for rounds in 2..=6 {
        let colours: Vec<[u8; 3]> = (1..=rounds).map(|depth| of_depth(depth, rounds)).collect();
        assert_eq!((colours[0], colours[rounds as usize - 1]), (VIRIDIS[0], VIRIDIS[9]));
        assert!(colours.windows(2).all(|pair| pair[0] != pair[1]));
    }
    assert_eq!((of_depth(0, 3), of_depth(9, 3), of_depth(1, 1)), (VIRIDIS[0], VIRIDIS[9], VIRIDIS[0]));
    assert!(is_light(VIRIDIS[9]) && !is_light(VIRIDIS[0]));
}
