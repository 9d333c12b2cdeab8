//! The files of adopted parts as files: what is in them beside the nodes of batches follows from those and from the secret.

use super::Repair;
use crate::error::Result;
use crate::layers::AdoptedPart;
use crate::layers::part;
use crate::units::Slice;

impl Repair<'_> {
    /// Writes again what is wrong in the file of each adopted part. Batches and crown have been mended already.
    pub(super) fn mend_parts(&mut self) -> Result<()> {
        let tree = self.tree;
        for (number, file) in tree.layers.on_disk.iter().enumerate() {
            if let Some(part) = file.part()
                && self.mend_part(number, part)?
            {
                self.report.parts_rewritten.push(file.entry.path().to_owned());
            }
        }
        Ok(())
    }

    /// Whether anything had to be written.
    fn mend_part(&mut self, number: usize, part: &AdoptedPart) -> Result<bool> {
        let (tree, cancel, prf_key) = (self.tree, self.cancel, self.prf_key);
        let (mut at, mut found, mut is_mended) = (0, Vec::new(), false);
        let read = |slice: &Slice, digests: &mut Vec<u8>| {
            cancel.proceed()?;
            tree.layers.read(slice, digests)
        };
        let put = |right: &[u8]| {
            found.resize(right.len(), 0);
            tree.layers.read_bytes(number, at, &mut found)?;
            if found != right {
                self.with_writer(|_, writer| writer.write_bytes(number, at, right))?;
                is_mended = true;
            }
            at += right.len() as u64;
            Ok(())
        };
        part::write(&part.plan, &part.layout, prf_key, read, put)?;
        Ok(is_mended)
    }
}
