//! Keeps everything but the hooks out of sight: what other crates export for the add-on would otherwise be found by the
//! program that is preloaded into.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,--exclude-libs,ALL");
}
