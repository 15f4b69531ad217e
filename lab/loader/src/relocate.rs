//! Resolves imports and applies relocations, in the kernel's order and with the kernel's idea of each type.

use object::LittleEndian;
use object::elf;

use crate::dynamic::{Dynamic, Relocation, Symbol};
use crate::error::{Rule, Step, broken};
use crate::staged::Staged;
use crate::symbols::{SymbolKind, SymbolTable};

const LE: LittleEndian = LittleEndian;
/// What Haiku calls its own image.
const KERNEL: &str = "kernel_x86_64";

/// What relocating needs to know.
pub(crate) struct Relocator<'a> {
    /// The add-on's path, as the kernel's messages have it.
    pub(crate) path: &'a str,
    pub(crate) dynamic: &'a Dynamic,
    pub(crate) kernel: &'a dyn SymbolTable,
    /// The address that address 0 of the file will have.
    pub(crate) base: u64,
}

impl Relocator<'_> {
    /// Applies every relocation to the staged image.
    pub(crate) fn run(&self, image: &mut Staged, log: &mut Vec<String>) -> Step<()> {
        for relocation in self.dynamic.relocations(image, log)? {
            self.apply(image, &relocation, log)?;
        }
        Ok(())
    }

    /// Applies one relocation.
    fn apply(&self, image: &mut Staged, relocation: &Relocation, log: &mut Vec<String>) -> Step<()> {
        let symbol = match relocation.r_sym(LE, false) {
            0 => 0,
            index => {
                let symbol = *self.dynamic.symbol(image, index)?;
                self.resolve(image, &symbol, log)?
            }
        };
        let offset = relocation.r_offset.get(LE);
        let addend = relocation.r_addend.get(LE) as u64;
        let kind = relocation.r_type(LE, false);
        let value = match kind {
            elf::R_X86_64_NONE => return Ok(()),
            elf::R_X86_64_64 | elf::R_X86_64_GLOB_DAT | elf::R_X86_64_JUMP_SLOT => symbol.wrapping_add(addend),
            // The kernel subtracts the offset and forgets the base, so the result is wrong there as it is here.
            elf::R_X86_64_PC32 => symbol.wrapping_add(addend).wrapping_sub(offset),
            elf::R_X86_64_RELATIVE => self.base.wrapping_add(addend),
            _ => {
                log.push(format!("arch_elf_relocate_rela: unhandled relocation type {}", kind.0));
                let what =
                    format!("The relocation at {offset:#x} has type {}, which the kernel does not know.", kind.0);
                return broken(Rule::RelocationType, what);
            }
        };
        let bytes = value.to_le_bytes();
        let width = if kind == elf::R_X86_64_PC32 { 4 } else { 8 };
        if image.write(offset, &bytes[..width]) {
            return Ok(());
        }
        log.push(format!("arch_elf_relocate_rela: invalid offset {offset:#x}"));
        broken(Rule::RelocationTarget, format!("The relocation at {offset:#x} changes memory outside the image."))
    }

    /// The address that `symbol` stands for.
    fn resolve(&self, image: &Staged, symbol: &Symbol, log: &mut Vec<String>) -> Step<u64> {
        if symbol.st_bind() == elf::STB_LOCAL {
            return Ok(self.base.wrapping_add(symbol.st_value.get(LE)));
        }
        let name = self.dynamic.name(image, symbol)?;
        let own = self.dynamic.find(image, name)?;
        let own_is_weak = own.is_some_and(|own| own.st_bind() == elf::STB_WEAK);
        let from_kernel = self.kernel.lookup(name);
        // Every symbol of the kernel counts as strong. A strong definition wins over a weak one, the first over the
        // second; with `-Bsymbolic` the add-on comes first, otherwise the kernel does.
        let (found_type, image_name, address) = match (own, from_kernel) {
            (Some(own), None) => self.own(own),
            (Some(own), Some(_)) if self.dynamic.symbolic && !own_is_weak => self.own(own),
            (_, Some(found)) => {
                let kind = match found.kind {
                    SymbolKind::Function => elf::STT_FUNC,
                    SymbolKind::Object => elf::STT_OBJECT,
                };
                (kind.0, KERNEL, found.address as u64)
            }
            (None, None) if symbol.st_bind() == elf::STB_WEAK => return Ok(0),
            (None, None) => {
                log.push(format!("\"{}\": could not resolve symbol '{name}'", self.path));
                return broken(Rule::UnknownSymbol, format!("Neither the kernel nor the add-on defines '{name}'."));
            }
        };
        let wanted = symbol.st_type().0;
        if wanted == found_type {
            return Ok(address);
        }
        let path = self.path;
        log.push(format!(
            "elf_resolve_symbol: found symbol '{name}' in image '{image_name}' (requested by image '{path}') but wrong \
             type ({found_type} vs. {wanted})"
        ));
        if wanted == elf::STT_NOTYPE.0 {
            return broken(Rule::UntypedImport, format!("The import '{name}' has no type (NOTYPE)."));
        }
        broken(Rule::ImportType, format!("The import '{name}' has type {wanted}, its definition {found_type}."))
    }

    /// A symbol of the add-on's: its type, its image and its address.
    fn own(&self, symbol: &Symbol) -> (u8, &str, u64) {
        (symbol.st_type().0, self.path, self.base.wrapping_add(symbol.st_value.get(LE)))
    }
}
