//! What is done to an object after it was linked: strip, mark text as text, put in its place.

use std::path::Path;

use anyhow::{Context, Result};
use object::{Object, ObjectSection};

use crate::build_ebpf::btf;
use crate::shell;

/// Gives the size of what now lies at `place`.
///
/// A file that would not change is not touched, so that nothing is built again that includes it.
pub(crate) fn finish(built: &Path, place: &Path, llvm_strip: &Path) -> Result<usize> {
    let stripped = place.with_extension("stripped");
    shell::run(shell::clean(llvm_strip).arg("-g").arg("-o").args([&stripped, built]))?;
    let mut bytes =
        std::fs::read(&stripped).with_context(|| format!("could not read {}", stripped.display()))?;
    std::fs::remove_file(&stripped).with_context(|| format!("could not remove {}", stripped.display()))?;
    mark_text(&mut bytes).with_context(|| format!("the BTF of {} is not as expected", built.display()))?;

    if std::fs::read(place).is_ok_and(|there| there == bytes) {
        return Ok(bytes.len());
    }
    let fresh = place.with_extension("fresh");
    std::fs::write(&fresh, &bytes).with_context(|| format!("could not write {}", fresh.display()))?;
    std::fs::rename(&fresh, place).with_context(|| format!("could not make {}", place.display()))?;
    Ok(bytes.len())
}

fn mark_text(elf: &mut [u8]) -> Result<()> {
    let (start, size) = {
        let file = object::File::parse(&*elf)?;
        let section = file.section_by_name(".BTF").context("it has no .BTF section")?;
        section.file_range().context("its .BTF section is empty")?
    };
    let range = usize::try_from(start)?..usize::try_from(start + size)?;
    btf::mark_i8_as_text(elf.get_mut(range).context("its .BTF section ends after the file")?)?;
    Ok(())
}
