//! Version 1: layer files with their headers, allocated in full, and an empty checkpoint store bound to the key.

use super::{Action, Context, MigrationError, Step};
use crate::failure::Named;
use crate::keydir::durable::sync_directory;
use crate::layers::Header;
use crate::plan::LevelSpan;
use crate::state::Store;

/// The column families of version 1. The ledger of signed epochs has its place, and is empty until keys sign.
const COLUMN_FAMILIES: [&str; 4] = ["meta", "batches", "crown", "ledger"];

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
            apply: Box::new(|| make_layer_directory(context)),
        }];
        for span in context.manifest.plan().geometry().levels() {
            let bytes = context.manifest.plan().layer_file_bytes(span);
            actions.push(Action {
                title: format!("allocate layers/{:02}.nodes, {bytes} bytes", span.level.0),
                apply: Box::new(move || allocate_layer(context, span)),
            });
        }
        actions.push(Action {
            title: "make the layer files' names durable".to_owned(),
            apply: Box::new(|| Ok(sync_directory(&context.paths.layers())?)),
        });
        actions.push(Action {
            title: "create the checkpoint store state/".to_owned(),
            apply: Box::new(|| create_store(context)),
        });
        actions
    }
}

fn make_layer_directory(context: &Context<'_>) -> Result<(), MigrationError> {
    let layers = context.paths.layers();
    std::fs::create_dir_all(&layers).named("mkdir", &layers)?;
    Ok(sync_directory(context.paths.root())?)
}

fn allocate_layer(context: &Context<'_>, span: &LevelSpan) -> Result<(), MigrationError> {
    let manifest = context.manifest;
    let header = Header::new(manifest.key_id(), span, manifest.scheme().digest_bytes());
    let path = context.paths.layer(span.level);
    // Version 0 holds no nodes yet, so whatever an interrupted creation left is replaced.
    Ok(context.medium.create(&path, header.file_bytes(), &header.to_page())?)
}

fn create_store(context: &Context<'_>) -> Result<(), MigrationError> {
    Store::create(&context.paths.state(), &COLUMN_FAMILIES, &context.manifest.binding())?;
    Ok(sync_directory(context.paths.root())?)
}
