//! The files of the UI, compiled in.

/// A file as it is served.
#[derive(Debug)]
pub(crate) struct Asset {
    pub(crate) content_type: &'static str,
    pub(crate) bytes: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";

/// The page of all views: which one is shown depends on the URL.
pub(crate) const INDEX: Asset = Asset { content_type: HTML, bytes: include_bytes!("../ui/index.html") };

/// The other files, by their paths below `/zipkin/`.
const FILES: &[(&str, Asset)] = &[];

/// The file at a path.
pub(crate) fn at(path: &str) -> Option<&'static Asset> {
    match path.strip_prefix("/zipkin/")? {
        "" | "dependency" => Some(&INDEX),
        path if path.strip_prefix("traces/").is_some_and(|id| !id.is_empty() && !id.contains('/')) => Some(&INDEX),
        path => FILES.iter().find(|(name, _)| *name == path).map(|(_, asset)| asset),
    }
}

/// The text files, for a page that has them inside.
pub(crate) fn files() -> Vec<(&'static str, &'static str)> {
    let text = |(name, asset): &(&'static str, Asset)| Some((*name, std::str::from_utf8(asset.bytes).ok()?));
    FILES.iter().filter_map(text).collect()
}
