//! Links lead somewhere: those of Markdown files and module documentation to files and headings, and
//! mentions of Markdown files in comments.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::{
    report,
    sources::{self, normal, root},
};

/// Where links of a document lead, and what of it can be linked to.
#[derive(Default)]
struct Page {
    links: Vec<String>,
    anchors: BTreeSet<String>,
    /// Words in `code` spans.
    code: Vec<String>,
}

impl Page {
    fn read(text: &str) -> Self {
        let mut page = Self::default();
        let mut heading: Option<String> = None;
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.into_string());
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let slug = slug(&heading.take().unwrap_or_default());
                    // Equal headings are numbered.
                    let numbered = (1..).map(|n| format!("{slug}-{n}"));
                    let mut names = std::iter::once(slug.clone()).chain(numbered);
                    let free = names.find(|n| !page.anchors.contains(n));
                    page.anchors.extend(free);
                }
                Event::Text(t) => {
                    if let Some(h) = &mut heading {
                        h.push_str(&t);
                    }
                }
                Event::Code(t) => {
                    if let Some(h) = &mut heading {
                        h.push_str(&t);
                    }
                    page.code.push(t.into_string());
                }
                Event::Html(h) | Event::InlineHtml(h) => {
                    let ids = h.split("id=\"").skip(1).filter_map(|r| r.split('"').next());
                    page.anchors.extend(ids.map(str::to_owned));
                }
                _ => {}
            }
        }
        page
    }
}

/// A heading's anchor, as GitHub makes it.
fn slug(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// The pages of the repository, read once each.
#[derive(Default)]
struct Pages(BTreeMap<PathBuf, Page>);

impl Pages {
    /// What is wrong with a link of a file in `folder`, if anything.
    fn complaint(&mut self, folder: &Path, link: &str) -> Option<String> {
        let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
        let target = normal(&folder.join(path));
        if !root().join(&target).exists() {
            return Some(format!("{link}: no such file"));
        }
        if anchor.is_empty() || target.extension().is_none_or(|e| e != "md") {
            return None;
        }
        let page = self
            .0
            .entry(target.clone())
            .or_insert_with(|| Page::read(&sources::read(&target)));
        (!page.anchors.contains(anchor)).then(|| format!("{link}: no such heading"))
    }
}

/// True if a link leads out of the repository.
fn is_foreign(link: &str) -> bool {
    link.contains("://") || link.starts_with("mailto:")
}

/// Links of Markdown files, and files of the repository that they name in code spans.
#[test]
fn markdown_leads_somewhere() {
    let mut pages = Pages::default();
    let mut complaints = Vec::new();
    let mut checked = 0;
    for file in sources::files(&[".md"]) {
        let folder = file.parent().unwrap_or(Path::new(""));
        let page = Page::read(&sources::read(&file));
        for link in page.links.iter().filter(|l| !is_foreign(l)) {
            let link = match link.strip_prefix('#') {
                Some(anchor) => {
                    let name = file.file_name().unwrap().to_string_lossy();
                    format!("{name}#{anchor}")
                }
                None => link.clone(),
            };
            checked += 1;
            let complaint = pages.complaint(folder, &link);
            complaints.extend(complaint.map(|c| format!("{}: {c}", file.display())));
        }
        // The change log tells of files that were.
        if file == Path::new("CHANGELOG.md") {
            continue;
        }
        for word in page.code.iter().filter(|w| names_a_source(w)) {
            checked += 1;
            // From the root, or from a folder around the page: its crate's.
            let mut around: Vec<Option<String>> = folder
                .ancestors()
                .map(|f| pages.complaint(f, word))
                .collect();
            if !around.contains(&None) {
                let complaint = around.pop().flatten();
                complaints.extend(complaint.map(|c| format!("{}: {c}", file.display())));
            }
        }
    }
    assert!(checked > 20, "only {checked} links");
    report(
        &complaints,
        "Correct the link, or write the heading that it means.",
    );
}

/// True if a code span is the path of a file or folder that the repository keeps.
fn names_a_source(word: &str) -> bool {
    const FOLDERS: [&str; 8] = [
        "codegen/", "docs/", "fuzz/", "models/", "planner/", "runtime/", "tests/", "xtask/",
    ];
    let path = word.split('#').next().unwrap_or(word);
    FOLDERS.iter().any(|f| path.starts_with(f))
        && path
            .chars()
            .all(|c| c.is_alphanumeric() || "/._-".contains(c))
}

/// Relative links of module documentation, and Markdown files that any comment names.
#[test]
fn comments_lead_somewhere() {
    let mut pages = Pages::default();
    let mut complaints = Vec::new();
    let mut checked = 0;
    for (file, _) in sources::rust() {
        let folder = file.parent().unwrap_or(Path::new(""));
        let text = sources::read(&file);
        let comments = text.lines().map(str::trim_start);
        let comments: Vec<&str> = comments.filter(|l| l.starts_with("//")).collect();
        for word in comments.iter().flat_map(|l| markdown_files(l)) {
            checked += 1;
            // From the root, or beside the file or a folder around it within its crate.
            let around = folder.ancestors().take(3);
            let mut found: Vec<Option<String>> = around
                .chain([Path::new("")])
                .map(|f| pages.complaint(f, word))
                .collect();
            if !found.contains(&None) {
                complaints.extend(
                    found
                        .pop()
                        .flatten()
                        .map(|c| format!("{}: {c}", file.display())),
                );
            }
        }
        let docs: String = comments
            .iter()
            .filter_map(|l| l.strip_prefix("//!").or_else(|| l.strip_prefix("///")))
            .flat_map(|l| [l.strip_prefix(' ').unwrap_or(l), "\n"])
            .collect();
        for link in Page::read(&docs).links {
            // The compiler checks links to items: those have no dot and no slash.
            let is_path = link.contains('/') || link.contains(".rs") || link.contains(".md");
            if is_path && !is_foreign(&link) && !link.contains("::") {
                checked += 1;
                let complaint = pages.complaint(folder, &link);
                complaints.extend(complaint.map(|c| format!("{}: {c}", file.display())));
            }
        }
    }
    assert!(checked > 20, "only {checked} mentions");
    report(
        &complaints,
        "Name the page by its path from the root, and a heading that it has.",
    );
}

/// Paths of Markdown files, with their anchors.
fn markdown_files(line: &str) -> Vec<&str> {
    line.split(|c: char| !(c.is_alphanumeric() || "/._-#".contains(c)))
        .map(|w| w.trim_end_matches(['.', '#', '-']))
        .filter(|w| {
            let path = w.split('#').next().unwrap_or(w);
            path.ends_with(".md") && path.len() > 3
        })
        .collect()
}

#[test]
fn anchors_are_those_of_github() {
    let page = Page::read(
        "# A `b` of c: d\n## Twice\n## Twice\n### x <a id=\"y\"></a>\n[l](m.md#n) `code`\n",
    );
    let want = ["a-b-of-c-d", "twice", "twice-1", "x", "y"];
    assert_eq!(page.anchors, want.map(str::to_owned).into());
    assert_eq!(page.links, ["m.md#n"]);
    let words = markdown_files("/// as `docs/x.md#y`, README.md.");
    assert_eq!(words, ["docs/x.md#y", "README.md"]);
}
