//! The headers: which segments the file has and where they go, before anything is read from them.
//!
//! Haiku makes two areas of an add-on, "text" (readable and executable) and "data" (readable and writable), and drops
//! every further segment without a message. Here, a file with a segment that would be dropped is refused.

use std::ops::Range;

use object::elf::{
    self, ELFCLASS64, ELFDATA2LSB, ELFMAG, EM_X86_64, ET_DYN, FileHeader64, PF_R, PF_W, PF_X, PT_DYNAMIC, PT_LOAD,
    ProgramHeader64,
};
use object::{LittleEndian, ReadRef};

use crate::error::{Rule, Step, broken};
use crate::memory::PAGE;

const LE: LittleEndian = LittleEndian;
/// The largest image that is loaded: anything above comes from a damaged file.
const MAX_IMAGE: u64 = 16 << 20;
/// The most that may lie unused between segments.
const MAX_HOLE: u64 = 8 * 1024;

/// One loadable segment.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// Its whole pages, in addresses of the file.
    pub(crate) pages: Range<u64>,
    /// The address of its first byte.
    pub(crate) address: u64,
    /// Its bytes in the file.
    pub(crate) file: Range<u64>,
}

/// What the headers say.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) text: Segment,
    pub(crate) data: Segment,
    /// The address of the dynamic section.
    pub(crate) dynamic: u64,
    /// The addresses from 0 to the end of the last segment: what Haiku reserves.
    pub(crate) reserved: u64,
}

/// Reads and checks the headers of `file`, whose last path component is `name`, as the kernel does.
pub(crate) fn parse(file: &[u8], name: &str, log: &mut Vec<String>) -> Step<Layout> {
    let headers = program_headers(file, check_header(file)?)?;
    let reserved = reserved_size(headers)?;

    let (mut text, mut data, mut dynamic) = (None, None, None);
    for (index, header) in headers.iter().enumerate() {
        match header.p_type.get(LE) {
            PT_LOAD => {}
            PT_DYNAMIC => {
                dynamic = Some(header.p_vaddr.get(LE));
                continue;
            }
            elf::PT_INTERP | elf::PT_PHDR | elf::PT_GNU_STACK | elf::PT_GNU_EH_FRAME => continue,
            other => {
                log.push(format!("{name}: unhandled pheader type {:#x}", other.0));
                continue;
            }
        }
        let flags = header.p_flags.get(LE).0;
        let writable = flags & (PF_R.0 | PF_W.0) == PF_R.0 | PF_W.0;
        let executable = flags & PF_X.0 != 0;
        let place = match (writable, executable) {
            (true, true) => {
                return broken(Rule::SegmentWritableCode, format!("Segment {index} is writable and executable."));
            }
            (true, false) => &mut data,
            (false, true) => &mut text,
            (false, false) => {
                log.push(format!("{name}: weird program header flags {flags:#x}"));
                let what = format!("Segment {index} has the flags {flags:#x}, neither code nor writable data.");
                return broken(Rule::SegmentFlags, what);
            }
        };
        let segment = segment(file, index, header)?;
        if place.replace(segment).is_some() {
            let kind = if executable { "code" } else { "data" };
            return broken(Rule::SegmentCount, format!("Segment {index} is a second segment of {kind}."));
        }
    }
    let Some(text) = text else { return broken(Rule::SegmentCount, "There is no segment of code.") };
    let Some(data) = data else { return broken(Rule::SegmentCount, "There is no segment of data.") };
    if text.pages.start < data.pages.end && data.pages.start < text.pages.end {
        log.push(format!("{name}: error allocating area: Bad value"));
        let what = format!("Code ({:#x?}) and data ({:#x?}) share a page.", text.pages, data.pages);
        return broken(Rule::SegmentOverlap, what);
    }
    let Some(dynamic) = dynamic else { return broken(Rule::DynamicSection, "There is no dynamic section.") };
    Ok(Layout { text, data, dynamic, reserved })
}

/// The ELF header, if the kernel would go on after looking at it.
fn check_header(file: &[u8]) -> Step<&FileHeader64<LittleEndian>> {
    let Ok(header) = file.read_at::<FileHeader64<LittleEndian>>(0) else {
        return broken(Rule::ElfHeader, format!("The file has {} bytes, less than an ELF header.", file.len()));
    };
    if header.e_ident.magic != ELFMAG {
        return broken(Rule::ElfHeader, "The file does not begin as an ELF file does.");
    }
    if header.e_ident.class != ELFCLASS64 {
        return broken(Rule::ElfHeader, format!("The ELF class is {}, not 64-bit.", header.e_ident.class.0));
    }
    if header.e_phoff.get(LE) == 0 {
        return broken(Rule::ElfHeader, "The file has no program headers: it is not linked.");
    }
    let (size, expected) = (header.e_phentsize.get(LE), size_of::<ProgramHeader64<LittleEndian>>());
    if usize::from(size) < expected {
        return broken(Rule::ElfHeader, format!("A program header is {size} bytes long, not {expected}."));
    }
    // What follows is not looked at by Haiku, which has only ever met its own files.
    if usize::from(size) > expected {
        return broken(Rule::ProgramHeaders, format!("A program header is {size} bytes long, not {expected}."));
    }
    if header.e_ident.data != ELFDATA2LSB {
        return broken(Rule::Machine, "The file is not little-endian.");
    }
    let machine = header.e_machine.get(LE);
    if machine != EM_X86_64 {
        return broken(Rule::Machine, format!("The file is for machine {}, not for x86_64 (62).", machine.0));
    }
    let kind = header.e_type.get(LE);
    if kind != ET_DYN {
        return broken(Rule::Machine, format!("The file has type {}, not shared object (3).", kind.0));
    }
    Ok(header)
}

/// The program headers, whole.
fn program_headers<'f>(
    file: &'f [u8],
    header: &FileHeader64<LittleEndian>,
) -> Step<&'f [ProgramHeader64<LittleEndian>]> {
    let (offset, count) = (header.e_phoff.get(LE), usize::from(header.e_phnum.get(LE)));
    match file.read_slice_at(offset, count) {
        Ok(headers) => Ok(headers),
        Err(()) => {
            broken(Rule::ProgramHeaders, format!("{count} program headers at {offset:#x} reach beyond the file's end."))
        }
    }
}

/// How many bytes of addresses the segments need, and whether they lie close together.
fn reserved_size(headers: &[ProgramHeader64<LittleEndian>]) -> Step<u64> {
    let (mut used, mut reserved) = (0u64, 0u64);
    for header in headers.iter().filter(|header| header.p_type.get(LE) == PT_LOAD) {
        let pages = pages(header)?;
        used = used.saturating_add(pages.end - pages.start);
        reserved = reserved.max(pages.end);
    }
    if reserved > used.saturating_add(MAX_HOLE) {
        let what = format!("The segments fill {used:#x} bytes but spread over {reserved:#x}.");
        return broken(Rule::SegmentHole, what);
    }
    if reserved > MAX_IMAGE {
        return broken(Rule::Memory, format!("The image would occupy {reserved:#x} bytes."));
    }
    Ok(reserved)
}

/// The whole pages that a segment covers.
fn pages(header: &ProgramHeader64<LittleEndian>) -> Step<Range<u64>> {
    let (address, size) = (header.p_vaddr.get(LE), header.p_memsz.get(LE));
    let end = address.checked_add(size).and_then(|end| end.checked_next_multiple_of(PAGE));
    match end {
        Some(end) if size > 0 => Ok(address - address % PAGE..end),
        Some(_) => broken(Rule::SegmentSize, format!("The segment at {address:#x} is empty.")),
        None => broken(Rule::SegmentSize, format!("A segment of {size:#x} bytes at {address:#x} has no end.")),
    }
}

/// One loadable segment, checked against the file.
fn segment(file: &[u8], index: usize, header: &ProgramHeader64<LittleEndian>) -> Step<Segment> {
    let (in_file, in_memory) = (header.p_filesz.get(LE), header.p_memsz.get(LE));
    if in_file > in_memory {
        let what = format!("Segment {index} has {in_file:#x} bytes in the file but {in_memory:#x} in memory.");
        return broken(Rule::SegmentSize, what);
    }
    let offset = header.p_offset.get(LE);
    match offset.checked_add(in_file) {
        Some(end) if end <= file.len() as u64 => {
            Ok(Segment { pages: pages(header)?, address: header.p_vaddr.get(LE), file: offset..end })
        }
        _ => {
            let what = format!(
                "Segment {index} is at {offset:#x}, {in_file:#x} bytes long; the file ends at {:#x}.",
                file.len()
            );
            broken(Rule::SegmentInFile, what)
        }
    }
}
