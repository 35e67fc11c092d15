//! Optimisation, checkpoints, resume, memory and time accounting, logs.
