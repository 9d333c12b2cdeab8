//! Checking what the files of adopted parts have beside the nodes that are read from them.

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::damage::{CheckReport, Damage};
use super::tree::Tree;
use crate::error::Result;
use crate::layers::part::{wrong_checksums, wrong_closing};

impl Tree<'_> {
    /// Compares the content of each part that the key has adopted with its checksums and, if the check is a deep one, with its digest
    /// and its tag. Damage of nodes has been named already.
    pub(super) fn parts(&self, report: &mut CheckReport) -> Result<()> {
        let files = self.layers.on_disk.iter().enumerate();
        let parts: Vec<_> = files
            .filter_map(|(number, file)| Some((number, file, file.part()?)))
            .filter(|(number, ..)| self.layers.is_usable(*number))
            .collect();
        let found = self.workers.install(|| {
            let found = parts.par_iter().map(|(number, file, part)| {
                let read = |offset, bytes: &mut [u8]| self.layers.read_bytes(*number, offset, bytes);
                let mut wrong = wrong_checksums(&part.layout, read)?;
                if let Some(prf_key) = self.prf_key.filter(|_| wrong.is_none()) {
                    wrong = wrong_closing(&part.layout, prf_key, read)?;
                }
                Ok(wrong.map(|what| {
                    let path = file.entry.path();
                    self.part_damage(path.to_owned(), format!("'{}' is damaged: {what}", path.display()))
                }))
            });
            found.collect::<Result<Vec<Option<Damage>>>>()
        })?;
        let is_new = |damage: &Damage| !report.damage.iter().any(|known| known.file == damage.file);
        let found: Vec<Damage> = found.into_iter().flatten().filter(is_new).collect();
        found.into_iter().for_each(|damage| report.add(damage));
        Ok(())
    }
}
