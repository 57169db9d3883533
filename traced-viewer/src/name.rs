//! A span's name.

use std::fmt;
use std::hash::{BuildHasher as _, Hash, Hasher, RandomState};
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use serde::{Serialize, Serializer};

use crate::steps::steps;

/// Shared by the spans of today that one v1 span becomes: they may be many, and it may be long. So it is read once, when it
/// is made, and its hash is known from then on.
#[derive(Clone)]
pub(crate) struct Name(Arc<Text>);

struct Text {
    hash: u64,
    text: Box<str>,
}

/// Nobody outside knows which names have one hash.
static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

impl From<String> for Name {
    fn from(text: String) -> Self {
        steps(text.len());
        Self(Arc::new(Text { hash: KEYS.hash_one(&text), text: text.into() }))
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0.text
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.hash == other.0.hash && self.0.text == other.0.text)
    }
}

impl Eq for Name {}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0.text, f)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}
