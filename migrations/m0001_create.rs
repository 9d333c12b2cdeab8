//! Version 1: layer files with their headers, allocated in full, and an empty checkpoint store bound to the key.

use super::{Action, Context, Step};
use crate::error::Result;
use crate::layers::levels_in_parts;
use crate::plan::LevelSpan;
use crate::state::Store;

/// The column families of version 1. The ledger of signed epochs has its place, and is empty until keys sign.
pub(crate) const COLUMN_FAMILIES: [&str; 4] = ["meta", "batches", "crown", "ledger"];

pub(super) struct Create;

impl Step for Create {
    fn version(&self) -> u32 {
        1
    }

    fn title(&self) -> &'static str {
        "create layer files and checkpoint store"
    }

    fn actions<'a>(&self, context: &'a Context<'a>) -> Vec<Action<'a>> {
        let mut actions = vec![Action {
            title: "make the directory layers/".to_owned(),
            apply: Box::new(|_| make_layer_directory(context)),
        }];
        for span in context.manifest.plan().geometry().stored_levels() {
            let bytes = context.manifest.plan().layer_file_bytes(span);
            actions.push(Action {
                title: format!("allocate layers/{:02}.nodes, {bytes} bytes", span.level.0),
                apply: Box::new(move |_| allocate_layer(context, span)),
            });
        }
        actions.push(Action {
            title: "make the layer files' names durable".to_owned(),
            apply: Box::new(|_| Ok(context.medium.sync_names(&context.paths.layers())?)),
        });
        actions.push(Action {
            title: "create the checkpoint store state/".to_owned(),
            apply: Box::new(|_| create_store(context)),
        });
        actions
    }
}

fn make_layer_directory(context: &Context<'_>) -> Result<()> {
    Ok(context.paths.layers().make_directory()?)
}

fn allocate_layer(context: &Context<'_>, span: &LevelSpan) -> Result<()> {
    let manifest = context.manifest;
    if levels_in_parts(manifest.plan()).contains(&span.level.0)
        && context.paths.adopted_parts(manifest.plan().trim()).exists()?
    {
        // The files of the parts have this level.
        return Ok(());
    }
    let header = HeaderV1 {
        key_id: manifest.key_id().0,
        level: span.level.0.into(),
        first_index: span.stored.start,
        count: span.stored_count(),
        digest_bytes: manifest.scheme().digest_bytes() as u32,
    };
    let layer = context.paths.layer(span.level);
    // Version 0 holds no nodes yet, so whatever an interrupted creation left is replaced.
    Ok(context.medium.create(&layer, header.file_bytes(), &header.to_page())?)
}

/// The header of a layer file as version 1 has it: a later version changes its own, never this one.
pub(super) struct HeaderV1 {
    pub(super) key_id: [u8; 16],
    pub(super) level: u32,
    pub(super) first_index: u64,
    pub(super) count: u64,
    pub(super) digest_bytes: u32,
}

impl HeaderV1 {
    const PAGE_BYTES: usize = 4096;

    fn file_bytes(&self) -> u64 {
        Self::PAGE_BYTES as u64 + self.count * u64::from(self.digest_bytes)
    }

    pub(super) fn to_page(&self) -> Vec<u8> {
        let mut page = b"KEYMILL\n".to_vec();
        page.extend(1u32.to_le_bytes());
        page.extend(self.level.to_le_bytes());
        page.extend(self.key_id);
        page.extend(self.first_index.to_le_bytes());
        page.extend(self.count.to_le_bytes());
        page.extend(self.digest_bytes.to_le_bytes());
        page.extend(crc32fast::hash(&page).to_le_bytes());
        page.resize(Self::PAGE_BYTES, 0);
        page
    }
}

fn create_store(context: &Context<'_>) -> Result<()> {
    let state = context.paths.state();
    Store::create(&state, &COLUMN_FAMILIES, &context.manifest.binding())
}
