//! Packages as those meet them who install them: with tar, dpkg, skopeo, umoci, man and shells themselves.

mod app;
mod archive;
mod common;
mod debian;
mod image;
mod pages;
