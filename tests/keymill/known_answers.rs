//! keymill's own results against the known answers of three independent libraries.
