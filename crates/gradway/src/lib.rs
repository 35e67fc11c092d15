//! Gradway.
