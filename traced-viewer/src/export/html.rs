//! One file with the viewer's page and the spans in it: no server, no other file, no network.

use std::sync::Arc;

use crate::assets;
use crate::span::Span;

/// What such a page may do: run what is in it. There is nobody to ask for anything else.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; img-src data:; \
                      base-uri 'none'; form-action 'none'";

/// Writes the page.
pub(super) fn write(spans: &[Arc<Span>]) -> Vec<u8> {
    let data = serde_json::to_string(spans).unwrap_or_default();
    page(assets::INDEX.text, &assets::files(), &data).into_bytes()
}

/// The page with its files inside: style sheets in place, modules as an import map of `data:` URLs.
fn page(index: &str, files: &[(&str, &str)], data: &str) -> String {
    let mut page = String::with_capacity(index.len() + data.len());
    let mut rest = index;
    let policy = format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">");
    let modules = import_map(files);
    // Nothing in JSON can end the element, nor begin a comment in it, once `<` is written otherwise.
    let data =
        format!("<script type=\"application/json\" id=\"traced-data\">{}</script>", data.replace('<', "\\u003c"));
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        page.push_str(before);
        let end = tag.find('>').map_or(tag.len(), |end| end + 1);
        let (tag, after) = tag.split_at(end);
        rest = after;
        let file = |attribute| file_of(tag, attribute).and_then(|name| files.iter().find(|(known, _)| *known == name));
        if tag.starts_with("<meta charset") {
            page.push_str(tag);
            page.push_str(&policy);
        } else if let Some((_, style)) = file("href").filter(|_| tag.starts_with("<link")) {
            page.push_str("<style>");
            page.push_str(&style.replace("</style", "<\\/style"));
            page.push_str("</style>");
        } else if let Some((name, _)) = file("src").filter(|_| tag.starts_with("<script")) {
            page.push_str(&format!("{data}{modules}<script type=\"module\">import \"ui/{name}\"</script>"));
            rest = after.strip_prefix("</script>").unwrap_or(after);
        } else {
            page.push_str(tag);
        }
    }
    page.push_str(rest);
    page
}

/// The file of the viewer that a tag's attribute names.
fn file_of<'a>(tag: &'a str, attribute: &str) -> Option<&'a str> {
    let (_, value) = tag.split_once(&format!(" {attribute}=\""))?;
    let (value, _) = value.split_once('"')?;
    Some(value.strip_prefix("/zipkin/ui/").or_else(|| value.strip_prefix("./")).unwrap_or(value))
}

/// The modules, each under the name `ui/NAME`: a `data:` URL has no folder that `./NAME` could be in.
fn import_map(files: &[(&str, &str)]) -> String {
    let modules = files.iter().filter(|(name, _)| name.ends_with(".js"));
    let urls = modules.map(|(name, source)| (format!("ui/{name}"), data_url(&with_bare_imports(source)).into()));
    let imports: serde_json::Map<String, serde_json::Value> = urls.collect();
    format!("<script type=\"importmap\">{}</script>", serde_json::json!({ "imports": imports }))
}

fn with_bare_imports(source: &str) -> String {
    let mut source = source.to_owned();
    for keyword in ["from ", "import ", "import("] {
        for quote in ['"', '\''] {
            source = source.replace(&format!("{keyword}{quote}./"), &format!("{keyword}{quote}ui/"));
        }
    }
    source
}

fn data_url(source: &str) -> String {
    let mut url = "data:text/javascript;charset=utf-8,".to_owned();
    for byte in source.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'(' | b')' => {
                url.push(char::from(byte));
            }
            byte => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_are_inside_and_no_text_ends_an_element() {
        let index = "<!doctype html><head><meta charset=\"utf-8\"><link rel=\"stylesheet\" href=\"/zipkin/ui/app.css\">\
                     <script type=\"module\" src=\"/zipkin/ui/app.js\"></script></head><body></body>";
        let files = [
            ("app.css", "body { color: red }"),
            ("app.js", "import { a } from './a.js';\nimport \"./b.js\";"),
            ("a.js", "export const a = '</script>';"),
        ];
        let page = page(index, &files, r#"[{"name":"</script><!--"}]"#);
        let expected = concat!(
            "<!doctype html><head><meta charset=\"utf-8\">",
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline' data:; ",
            "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'\">",
            "<style>body { color: red }</style>",
            r#"<script type="application/json" id="traced-data">[{"name":"\u003c/script>\u003c!--"}]</script>"#,
            r#"<script type="importmap">{"imports":{"#,
            r#""ui/a.js":"data:text/javascript;charset=utf-8,export%20const%20a%20%3D%20%27%3C%2Fscript%3E%27%3B","#,
            r#""ui/app.js":"data:text/javascript;charset=utf-8,import%20%7B%20a%20%7D%20from%20%27ui%2Fa.js%27%3B%0A"#,
            r#"import%20%22ui%2Fb.js%22%3B"}}</script>"#,
            r#"<script type="module">import "ui/app.js"</script></head><body></body>"#,
        );
        assert_eq!(page, expected);
    }

    #[test]
    fn the_viewers_own_page_names_no_other_file() {
        let page = String::from_utf8_lossy(&write(&[])).into_owned();
        for tag in page.split('<').filter(|tag| tag.starts_with("link") || tag.starts_with("script")) {
            assert!(!tag.contains(" src=") && !tag.contains(" href=\"/"), "{tag}");
        }
    }
}
