//! Files of the spool, which other programs may have written, and disks may have changed.

use traced_runtime::fuzz::{read_spool_file, write_spool_file};

pub const WORDS: &[&[u8]] = &[
    b"TRACEDSP",
    b"\x01\0\0\0",
    b"\x02\0\0\0",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b"\"",
    b"\\\"",
    b"\\",
    b"{\"traceId\":\"",
    b"\",\"id\":\"",
    b"\xe2",
];

#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let span = r#"{"traceId":"463ac35c9f6413ad","id":"a2fb4a1d1a96d312","name":"a \"b\" [}","tags":{"k":"\\"}}"#;
    [format!("[{span}]"), format!("[{span},{span},{span}]"), "[{},{}]".to_owned(), "[]".to_owned(), "[{".to_owned()]
        .map(|list| write_spool_file(list.as_bytes(), 2, 1_700_000_000_000))
        .into()
}

pub fn run(data: &[u8]) {
    // As it is: nearly always set aside.
    if let Some((_, _, list)) = read_spool_file(data) {
        assert_eq!(data.get(40..), Some(&*list));
    }
    // Its list with a right header: the parser of lists gets to see it.
    let list = data.get(40..).unwrap_or(data);
    let spans = u32::from(data.first().copied().unwrap_or(0)).max(1);
    let file = write_spool_file(list, spans, 7);
    let read = read_spool_file(&file);
    if let Some((header, _, read)) = &read {
        assert_eq!((*header, &**read), (spans as usize, list));
    }
    if let Ok(serde_json::Value::Array(values)) = serde_json::from_slice(list) {
        if !values.is_empty() && values.iter().all(serde_json::Value::is_object) && list.starts_with(b"[{") && list.ends_with(b"}]") {
            let (_, found, _) = read.expect("a list of spans");
            assert!(found <= list.len());
        }
    }
    // Any byte of it changed, or lost.
    let at = data.iter().fold(0_usize, |at, byte| at.wrapping_mul(31).wrapping_add(usize::from(*byte))) % file.len();
    let mut changed = file.clone();
    changed[at] ^= 1 << (at % 8);
    assert!(read_spool_file(&changed).is_none(), "byte {at} was changed");
    assert!(read_spool_file(&file[..at]).is_none(), "it ends at {at}");
}
