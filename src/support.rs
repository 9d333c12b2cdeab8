//! What the `keymill` program uses beside keys, for other programs of its kind: text of others as it may be shown, times
//! in words, what pages have in common, and files that are there as a whole or not at all.

pub use crate::drawing::{STYLE as PAGE_STYLE, escaped, human_bytes, human_duration, moment, share};
pub use crate::failure::IoFailure;
pub use crate::files::publish::{Draft, Existing, Mode, replace_at, show_at, write_named};
pub use crate::files::{make_directories, open_to_read, parent_of, place_of};
pub use crate::remedy::advised;
pub use crate::text::{
    Foreign, Runs, bounded, counted, is_hidden, nearest, toml_fault, visible, visible_json, without_mark,
};
pub use crate::time::{time_of_day_ms, utc};
