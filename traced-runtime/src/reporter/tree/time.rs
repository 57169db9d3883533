//! Times as people write them.

use std::fmt;
use std::time::Duration;

/// Displays a time with three or so digits: `850 ns`, `9.1 µs`, `48.2 ms`, `900 ms`, `1.2 s`.
pub(super) struct Time(pub(super) Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let (unit, size) = match nanos {
            0..1_000 => return write!(f, "{nanos} ns"),
            // From here on 999.5 and more are rounded up to the next unit.
            1_000..999_500 => ("µs", 1_000),
            999_500..999_500_000 => ("ms", 1_000_000),
            _ => ("s", 1_000_000_000),
        };
        let tenths = (nanos * 10 + size / 2) / size;
        if tenths < 1000 {
            write!(f, "{}.{} {unit}", tenths / 10, tenths % 10)
        } else {
            write!(f, "{} {unit}", (nanos + size / 2) / size)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_people_write_them() {
        for (nanos, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.0 µs"),
            (99_949, "99.9 µs"),
            (99_951, "100 µs"),
            (900_000, "900 µs"),
            (999_499, "999 µs"),
            (999_500, "1.0 ms"),
            (48_200_000, "48.2 ms"),
            (999_500_000, "1.0 s"),
            (12_345_000_000, "12.3 s"),
            (86_400_000_000_000, "86400 s"),
        ] {
            assert_eq!(Time(Duration::from_nanos(nanos)).to_string(), text);
        }
    }
}
