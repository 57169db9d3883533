//! Inputs made of others.

/// SplitMix64.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// Below `end`; 0 if that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// The longest input.
const LONGEST: usize = 4 << 10;

/// Changes `input` in a few places.
pub fn mutate(input: &mut Vec<u8>, random: &mut Random, seeds: &[Vec<u8>], words: &[&[u8]]) {
    for _ in 0..1 + random.below(6) {
        let at = random.below(input.len() + 1);
        let end = (at + random.below(32)).min(input.len());
        match random.below(9) {
            0 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            1 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = random.next() as u8;
                }
            }
            2 => input.insert(at, random.next() as u8),
            3 => drop(input.drain(at..end)),
            4 => {
                let word = words[random.below(words.len())];
                input.splice(at..at, word.iter().copied());
            }
            5 => {
                let word = words[random.below(words.len())];
                input.splice(at..end, word.iter().copied());
            }
            6 => {
                let copy = input[at..end].to_vec();
                let to = random.below(input.len() + 1);
                input.splice(to..to, copy);
            }
            7 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                let until = from + random.below(other.len() - from + 1);
                input.splice(at..at, other[from..until].iter().copied());
            }
            _ => input.truncate(at),
        }
        input.truncate(LONGEST);
    }
}
