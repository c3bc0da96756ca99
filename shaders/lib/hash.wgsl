// A word that looks like chance, of a number and a word before it.
fn mix(value: u32, word: u32) -> u32 {
    var h = (value ^ word) * 0x9e3779b1u;
    h = (h ^ (h >> 16u)) * 0x85ebca6bu;
    h = (h ^ (h >> 13u)) * 0xc2b2ae35u;
    return h ^ (h >> 16u);
}
