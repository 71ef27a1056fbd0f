//! The dashboards are embedded from `web/dist`; without a web build a placeholder folder lets the server compile.

fn main() {
    let dist = std::path::Path::new("../../web/dist");
    if !dist.exists()
        && let Err(error) = std::fs::create_dir_all(dist)
    {
        println!("cargo::warning=cannot make {}: {error}", dist.display());
    }
    println!("cargo::rerun-if-changed=../../web/dist");
}
