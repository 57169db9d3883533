//! The files of the UI, compiled in.

/// A file as it is served.
#[derive(Debug)]
pub(crate) struct Asset {
    pub(crate) content_type: &'static str,
    pub(crate) text: &'static str,
}

/// A list of files of `ui`, each with its name.
macro_rules! files {
    ($content_type:literal: $($name:literal)*) => {
        &[$((
            $name,
            Asset { content_type: $content_type, text: include_str!(concat!("../ui/", $name)) },
        )),*]
    };
}

/// The page of all views: which one is shown depends on the URL.
pub(crate) const INDEX: Asset =
    Asset { content_type: "text/html; charset=utf-8", text: include_str!("../ui/index.html") };

const STYLES: &[(&str, Asset)] = files!("text/css; charset=utf-8": "style.css");

const MODULES: &[(&str, Asset)] = files!("text/javascript; charset=utf-8":
    "address.js" "api.js" "compare.js" "critical.js" "decode.js" "dependency.js" "detail.js" "dialog.js" "element.js" "events.js"
    "flame.js" "format.js" "hue.js" "json.js" "keyboard.js" "layers.js" "list.js" "listrow.js" "live.js" "main.js"
    "merge.js" "minimap.js" "names.js" "open.js" "outcome.js" "rows.js" "search.js" "setting.js" "skew.js" "splitter.js" "subtree.js"
    "theme.js" "trace.js" "tracepage.js" "upload.js" "view.js" "waterfall.js"
);

/// The file at a path.
pub(crate) fn at(path: &str) -> Option<&'static Asset> {
    match path.strip_prefix("/zipkin/")? {
        "" | "dependency" => Some(&INDEX),
        path if path.strip_prefix("traces/").is_some_and(|id| !id.is_empty() && !id.contains('/')) => Some(&INDEX),
        path => {
            let wanted = path.strip_prefix("ui/")?;
            STYLES.iter().chain(MODULES).find(|(name, _)| *name == wanted).map(|(_, asset)| asset)
        }
    }
}

/// The files beside the page, by name, for a page that has them inside.
pub(crate) fn files() -> Vec<(&'static str, &'static str)> {
    STYLES.iter().chain(MODULES).map(|(name, asset)| (*name, asset.text)).collect()
}
