//! How what is ours is called. Nothing of another name is ever touched.

use std::ffi::OsStr;

/// The file that is locked in a folder.
pub(crate) const LOCK: &str = "lock";

const BATCH: &str = ".spool";
const BAD: &str = ".bad";

/// A number as it stands in names: all as long, so that the order of names is that of the numbers, to the greatest.
fn written(number: u64) -> String {
    format!("{number:016x}")
}

/// The number that is written so, as we write them.
fn number(name: &str) -> Option<u64> {
    u64::from_str_radix(name, 16).ok().filter(|number| written(*number) == name)
}

/// The name of a tracer's folder.
pub(crate) fn folder(number: u64) -> String {
    written(number)
}

/// Whether a tracer's folder is called so.
pub(crate) fn is_folder(name: &str) -> bool {
    number(name).is_some()
}

/// The name of a batch in its folder.
pub(crate) fn batch(number: u64) -> String {
    written(number) + BATCH
}

/// The number of what is called as a batch is.
pub(crate) fn batch_number(name: &OsStr) -> Option<u64> {
    number(name.to_str()?.strip_suffix(BATCH)?)
}

/// The name of what was a batch in this folder and is set aside.
pub(crate) fn aside(folder: &str, number: u64) -> String {
    format!("{folder}-{}{BAD}", written(number))
}

/// Whether something is called as what was set aside is.
pub(crate) fn is_aside(name: &str) -> bool {
    let parts = name.strip_suffix(BAD).and_then(|name| name.split_once('-'));
    parts.is_some_and(|(folder, batch)| is_folder(folder) && number(batch).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_their_numbers_up_to_the_last_one() {
        let numbers = [0, 1, 0xf, 0x10, u64::from(u32::MAX), 1 << 32, u64::MAX >> 1, u64::MAX - 1, u64::MAX];
        assert!(numbers.map(batch).is_sorted());
        for number in numbers {
            assert_eq!(batch_number(OsStr::new(&batch(number))), Some(number));
            assert!(is_folder(&folder(number)) && is_aside(&aside(&folder(number), number)));
        }
    }

    #[test]
    fn what_is_called_in_another_way_is_not_ours() {
        let foreign = [
            "lock",
            "00c0ffee00c0ffe",
            "00C0FFEE00C0FFEE",
            "+0c0ffee00c0ffee",
            "00c0ffee00c0ffee0",
            "0x00000000000001",
            "",
        ];
        for name in foreign {
            assert!(!is_folder(name), "{name}");
            let batch = format!("{name}.spool");
            assert_eq!(batch_number(OsStr::new(&batch)), None, "{batch}");
            for aside in
                [format!("{name}.bad"), format!("00c0ffee00c0ffee-{name}.bad"), format!("{name}-0000000000000001.bad")]
            {
                assert!(!is_aside(&aside), "{aside}");
            }
        }
        assert_eq!(batch_number(OsStr::new("0000000000000001.bad")), None);
        assert_eq!(batch_number(OsStr::new("0000000000000001.spool.gz")), None);
    }
}
