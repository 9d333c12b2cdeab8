//! include/keymill.h is what cbindgen makes of src/capi.

use std::path::Path;

#[test]
fn the_c_header_is_the_one_that_is_made_from_the_source() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let configuration = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(configuration);
    for file in ["outcome.rs", "exports.rs"] {
        builder = builder.with_src(root.join("src/capi").join(file));
    }
    let mut made = Vec::new();
    builder.generate().unwrap().write(&mut made);
    // For `tools/capi --header`, which takes it from here.
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("keymill.h");
    std::fs::write(&place, &made).unwrap();
    let committed = std::fs::read(root.join("include/keymill.h")).unwrap_or_default();
    assert!(
        committed == made,
        "include/keymill.h is not up to date: 'tools/capi --header' rebuilds it"
    );
}
