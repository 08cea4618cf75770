//! Which file of a crate imports from which: paths that begin with `crate`, `super`, `self` or a child
//! module, in imports and in code. Code under `#[cfg(test)]` does not count; a name that a file
//! re-exports leads to the file that has it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Item};

use crate::sources::{self, Package};

/// The way from the crate's root to a module, or to an item of it.
type Path = Vec<String>;

/// The modules of a crate.
pub struct Crate {
    modules: BTreeMap<Path, Module>,
}

/// One module: a file, or a `mod name { .. }` of one.
struct Module {
    file: PathBuf,
    /// Names brought in: what they are called here, and where they lie. `*` for all.
    imports: Vec<(String, Path)>,
    /// Paths of other places in the crate.
    mentions: BTreeSet<Path>,
    /// Modules of other files, by `mod name;`. Declaring a module imports nothing of it.
    declared: BTreeSet<Path>,
}

impl Crate {
    /// Reads all modules below `src`.
    pub fn read(package: &Package) -> Self {
        let src = package.folder.join("src");
        let mut modules = BTreeMap::new();
        for (file, owner) in sources::rust() {
            let Ok(inside) = file.strip_prefix(&src) else {
                continue;
            };
            if owner.name != package.name {
                continue;
            }
            let mut path: Path = inside
                .with_extension("")
                .components()
                .map(|c| c.as_os_str().to_string_lossy().into_owned())
                .collect();
            if path
                .last()
                .is_some_and(|n| ["lib", "main", "mod"].contains(&&**n))
            {
                path.pop();
            }
            let parsed = syn::parse_file(&sources::read(&file));
            let parsed = parsed.unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            if !parsed.attrs.iter().any(is_for_tests) {
                add(&mut modules, path, file, parsed.items);
            }
        }
        let mut tree = Self { modules };
        tree.drop_test_files();
        tree
    }

    /// Removes files whose `mod name;` stands under `#[cfg(test)]`: nobody declares them any more.
    fn drop_test_files(&mut self) {
        loop {
            let declared: BTreeSet<Path> = self
                .modules
                .values()
                .flat_map(|m| m.declared.iter().cloned())
                .collect();
            let before = self.modules.len();
            self.modules
                .retain(|path, _| path.is_empty() || declared.contains(path));
            if self.modules.len() == before {
                return;
            }
        }
    }

    /// From every file to the files that it imports from.
    pub fn imports(&self) -> BTreeMap<PathBuf, BTreeSet<PathBuf>> {
        let mut graph: BTreeMap<PathBuf, BTreeSet<PathBuf>> = BTreeMap::new();
        for module in self.modules.values() {
            let to = graph.entry(module.file.clone()).or_default();
            let found = module.mentions.iter().filter_map(|p| self.file_of(p, 0));
            to.extend(found.filter(|f| *f != module.file));
        }
        graph
    }

    /// True if `lower` is a module below the module `upper`, at any depth.
    pub fn is_below(&self, upper: &PathBuf, lower: &PathBuf) -> bool {
        let path = |file: &PathBuf| self.modules.iter().find(|(_, m)| m.file == *file);
        let (Some((upper, _)), Some((lower, _))) = (path(upper), path(lower)) else {
            return false;
        };
        lower.len() > upper.len() && lower.starts_with(upper)
    }

    /// The file that has what `path` leads to, through at most a few re-exports.
    fn file_of(&self, path: &[String], depth: usize) -> Option<PathBuf> {
        let (at, module) = (0..=path.len())
            .rev()
            .find_map(|n| Some((n, self.modules.get(&path[..n])?)))?;
        let Some(name) = path.get(at).filter(|_| depth < 8) else {
            return Some(module.file.clone());
        };
        let import = module.imports.iter().find(|(n, _)| n == name);
        match import {
            Some((_, origin)) => {
                let mut whole = origin.clone();
                whole.extend_from_slice(&path[at + 1..]);
                self.file_of(&whole, depth + 1)
            }
            None => Some(module.file.clone()),
        }
    }
}

fn is_for_tests(attribute: &Attribute) -> bool {
    let text = attribute.to_token_stream().to_string().replace(' ', "");
    text.contains("cfg(test)") || text.contains("cfg(all(test")
}

fn add(modules: &mut BTreeMap<Path, Module>, path: Path, file: PathBuf, items: Vec<Item>) {
    let mut module = Module {
        file,
        imports: Vec::new(),
        mentions: BTreeSet::new(),
        declared: BTreeSet::new(),
    };
    let mut children: BTreeSet<String> = BTreeSet::new();
    let mut inline = Vec::new();
    let mut rest = TokenStream::new();
    let mut uses = Vec::new();
    for item in items {
        if attributes(&item).iter().any(is_for_tests) {
            continue;
        }
        match item {
            Item::Mod(m) => {
                let name = m.ident.to_string();
                children.insert(name.clone());
                let child = [path.clone(), vec![name]].concat();
                match m.content {
                    Some((_, items)) => {
                        module.declared.insert(child.clone());
                        inline.push((child, items));
                    }
                    None => {
                        module.declared.insert(child);
                    }
                }
            }
            Item::Use(u) => uses.push(u.tree.to_token_stream()),
            other => rest.extend(other.to_token_stream()),
        }
    }
    for tree in uses {
        for (name, way) in leaves(tree) {
            if let Some(to) = resolve(&path, &children, &way) {
                module.imports.push((name, to.clone()));
                module.mentions.insert(to);
            }
        }
    }
    mentioned(rest, &mut |way| {
        if let Some(to) = resolve(&path, &children, way) {
            module.mentions.insert(to);
        }
    });
    for (child, items) in inline {
        add(modules, child, module.file.clone(), items);
    }
    modules.insert(path, module);
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(i) => &i.attrs,
        Item::Fn(i) => &i.attrs,
        Item::Impl(i) => &i.attrs,
        Item::Macro(i) => &i.attrs,
        Item::Mod(i) => &i.attrs,
        Item::Static(i) => &i.attrs,
        Item::Struct(i) => &i.attrs,
        Item::Type(i) => &i.attrs,
        Item::Use(i) => &i.attrs,
        _ => &[],
    }
}

/// The place in the crate that `way` names, seen from module `from`; `None` for other crates' paths.
fn resolve(from: &[String], children: &BTreeSet<String>, way: &[String]) -> Option<Path> {
    let (first, mut rest) = way.split_first()?;
    let mut at = match &**first {
        "crate" => Vec::new(),
        "self" => from.to_vec(),
        "super" => from[..from.len().checked_sub(1)?].to_vec(),
        name if children.contains(name) => [from, &[name.to_owned()]].concat(),
        _ => return None,
    };
    while let Some((next, behind)) = rest.split_first().filter(|(n, _)| *n == "super") {
        debug_assert_eq!(next, "super");
        at.pop()?;
        rest = behind;
    }
    at.extend_from_slice(rest);
    Some(at)
}

/// The names that an import brings in, each with its whole path.
fn leaves(tree: TokenStream) -> Vec<(String, Path)> {
    let mut list = Vec::new();
    walk(tree, &mut Vec::new(), &mut list);
    list
}

fn walk(tree: TokenStream, way: &mut Path, list: &mut Vec<(String, Path)>) {
    let (start, depth) = (way.clone(), way.len());
    let mut name: Option<String> = None;
    let mut renamed = false;
    let mut finish = |way: &mut Path, name: Option<String>| {
        if way.len() > depth {
            // `a::{self}` is `a`.
            if way.len() > 1 && way.last().is_some_and(|n| n == "self") {
                way.pop();
            }
            let name = name.or_else(|| way.last().cloned());
            list.extend(name.map(|n| (n, way.clone())));
        }
        *way = start.clone();
    };
    let mut groups = Vec::new();
    for token in tree {
        match token {
            TokenTree::Ident(i) if i == "as" => renamed = true,
            TokenTree::Ident(i) if renamed => name = Some(i.to_string()),
            TokenTree::Ident(i) => way.push(i.to_string()),
            TokenTree::Punct(p) if p.as_char() == '*' => way.push("*".into()),
            TokenTree::Punct(p) if p.as_char() == ',' => {
                finish(way, name.take());
                renamed = false;
            }
            TokenTree::Group(g) => {
                groups.push((way.clone(), g.stream()));
                *way = start.clone();
            }
            _ => {}
        }
    }
    finish(way, name);
    for (mut way, tree) in groups {
        walk(tree, &mut way, list);
    }
}

/// Paths `a::b::c` in code. A path that begins with `::` belongs to another crate.
fn mentioned(code: TokenStream, see: &mut dyn FnMut(&[String])) {
    let mut way: Path = Vec::new();
    let mut colons = 0;
    for token in code {
        match token {
            TokenTree::Punct(p) if p.as_char() == ':' => colons += 1,
            TokenTree::Ident(i) => {
                if colons != 2 {
                    flush(&mut way, see);
                }
                way.push(i.to_string());
                colons = 0;
            }
            TokenTree::Group(g) => {
                flush(&mut way, see);
                colons = 0;
                // `pub(crate)` and `pub(super)` name no place.
                let visibility =
                    g.delimiter() == Delimiter::Parenthesis && g.stream().into_iter().count() == 1;
                if !visibility {
                    mentioned(g.stream(), see);
                }
            }
            _ => {
                flush(&mut way, see);
                colons = 0;
            }
        }
    }
    flush(&mut way, see);
}

fn flush(way: &mut Path, see: &mut dyn FnMut(&[String])) {
    if way.len() > 1 {
        see(way);
    }
    way.clear();
}

#[test]
fn imports_are_read_with_groups_and_names() {
    let tree: TokenStream = "crate::{a::{self, B as C, *}, d::E}, f".parse().unwrap();
    let mut list: Vec<String> = leaves(tree)
        .iter()
        .map(|(n, p)| format!("{n}={}", p.join("::")))
        .collect();
    list.sort();
    assert_eq!(
        list,
        [
            "*=crate::a::*",
            "C=crate::a::B",
            "E=crate::d::E",
            "a=crate::a",
            "f=f"
        ]
    );
}

#[test]
fn paths_in_code_are_read() {
    let mut list = Vec::new();
    let code =
        "let x: crate::a::B = f(super::c(1), D { e: std::mem::take(y) }); pub(crate) fn g() {}";
    mentioned(code.parse().unwrap(), &mut |p| list.push(p.join("::")));
    assert_eq!(list, ["crate::a::B", "super::c", "std::mem::take"]);
}

#[test]
fn paths_lead_up_and_down() {
    let words = |s: &str| s.split("::").map(str::to_owned).collect::<Path>();
    let children = BTreeSet::from(["kid".to_owned()]);
    let to = |way: &str| resolve(&words("a::b"), &children, &words(way)).map(|p| p.join("::"));
    assert_eq!(to("crate::x::Y").as_deref(), Some("x::Y"));
    assert_eq!(to("super::Y").as_deref(), Some("a::Y"));
    assert_eq!(to("super::super::Y").as_deref(), Some("Y"));
    assert_eq!(to("self::Y").as_deref(), Some("a::b::Y"));
    assert_eq!(to("kid::Y").as_deref(), Some("a::b::kid::Y"));
    assert_eq!(to("std::Y"), None);
}
