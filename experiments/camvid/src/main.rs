//! CamVid.
fn main() {}
