//! The `gradway` binary.
fn main() {}
