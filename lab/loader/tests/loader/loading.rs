//! An add-on without fault is loaded as Haiku loads it.

use crate::fixture::*;
use haiku_loader::{Rule, SymbolKind, load};
use object::elf::*;

/// The eight bytes at an address of a loaded image.
fn word(address: usize) -> u64 {
    // SAFETY: the callers pass addresses inside an image that they keep loaded.
    unsafe { (address as *const u64).read_unaligned() }
}

#[test]
fn exported_function_runs_and_reaches_the_kernel() {
    let _alone = alone();
    let image = try_load(&Addon::good().bytes()).expect("the fixture is good");
    let function = image.function("init_driver").expect("it is exported");
    // SAFETY: the address is that of a jump to `fake_dprintf`, which has this signature; the image is alive.
    let function = unsafe { std::mem::transmute::<*const (), extern "C" fn() -> i32>(function) };
    assert_eq!(function(), 4711);
    drop(image);
    assert_nothing_mapped();
}

#[test]
fn relocations_hold_what_their_types_say() {
    let _alone = alone();
    let image = try_load(&Addon::good().bytes()).expect("the fixture is good");
    let base = image.base();
    assert_eq!(word(base + SLOT_DPRINTF as usize), fake_dprintf as *const () as u64, "GLOB_DAT");
    assert_eq!(word(base + SLOT_CODE as usize), base as u64 + CODE, "RELATIVE");
    assert_eq!(word(base + SLOT_VERSION as usize), base as u64 + VERSION, "64");
}

#[test]
fn pc32_is_applied_without_the_base_as_the_kernel_does() {
    let _alone = alone();
    let mut addon = Addon::good();
    addon.relocations[2] = Reloc { offset: SLOT_VERSION, symbol: VARIABLE, kind: R_X86_64_PC32.0, addend: 5 };
    let image = try_load(&addon.bytes()).expect("the type is known");
    let expected = (image.base() as u64 + VERSION + 5).wrapping_sub(SLOT_VERSION) as u32;
    assert_eq!(word(image.base() + SLOT_VERSION as usize), u64::from(expected), "four bytes, no more");
}

#[test]
fn symbols_are_found_as_get_image_symbol_finds_them() {
    let _alone = alone();
    let image = try_load(&Addon::good().bytes()).expect("the fixture is good");
    assert_eq!(image.exports(), ["api_version", "init_driver"], "imports are not exports");
    let version = image.symbol("api_version").expect("exported");
    assert_eq!(version.kind, Some(SymbolKind::Object));
    assert_eq!(version.address, image.base() + VERSION as usize);
    assert_eq!(word(version.address) as u32, 2);
    assert!(image.symbol("dprintf").is_none());
    assert!(image.function("api_version").is_none(), "a variable is not a function");
    assert!(image.variable("init_driver").is_none(), "a function is not a variable");
    assert!(image.variable("api_version").is_some());
}

#[test]
fn memory_is_executable_or_writable_and_never_both() {
    let _alone = alone();
    let image = try_load(&Addon::good().bytes()).expect("the fixture is good");
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux has /proc/self/maps");
    let protection = |address: usize| {
        let line = maps.lines().find(|line| {
            let (start, end) = line.split_whitespace().next().unwrap().split_once('-').unwrap();
            let parse = |text| usize::from_str_radix(text, 16).unwrap();
            (parse(start)..parse(end)).contains(&address)
        });
        line.expect("the address is mapped").split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(protection(image.text().start), "r-xp");
    assert_eq!(protection(image.data().start), "rw-p");
    assert_eq!(protection(image.data().end - 1), "rw-p");
    assert!(!maps.contains("rwx"), "{maps}");
    assert_eq!(executable_anonymous_maps().len(), 1);
}

#[test]
fn data_beyond_the_file_is_zero() {
    let _alone = alone();
    let image = try_load(&Addon::good().bytes()).expect("the fixture is good");
    let start = image.base() + (DATA + DATA_IN_FILE) as usize;
    let zero = (start..image.data().end).step_by(8).all(|address| word(address) == 0);
    assert!(zero);
}

#[test]
fn two_images_of_one_file_have_data_of_their_own() {
    let _alone = alone();
    let bytes = Addon::good().bytes();
    let first = try_load(&bytes).expect("the fixture is good");
    let second = haiku_loader::load_bytes("again", &bytes, &kernel()).expect("the fixture is good");
    assert_ne!(first.base(), second.base());
    let version = first.variable("api_version").expect("exported").cast::<u32>();
    // SAFETY: the variable is four writable bytes of the first image, which is alive.
    unsafe { version.write(77) };
    assert_eq!(word(second.symbol("api_version").expect("exported").address) as u32, 2);
    drop((first, second));
    assert_nothing_mapped();
}

#[test]
fn the_add_ons_own_symbol_comes_first_when_linked_symbolically() {
    let _alone = alone();
    let mut addon = Addon::good();
    addon.symbols[FUNCTION as usize - 1].name = "dprintf";
    addon.symbols[IMPORT as usize - 1].name = "unused";
    addon.relocations[0].symbol = FUNCTION;
    let image = try_load(&addon.bytes()).expect("defined twice is no fault");
    assert_eq!(word(image.base() + SLOT_DPRINTF as usize), image.base() as u64 + CODE);
    drop(image);

    addon.dynamic.retain(|&(tag, _)| tag != DT_SYMBOLIC.0);
    let image = try_load(&addon.bytes()).expect("defined twice is no fault");
    assert_eq!(word(image.base() + SLOT_DPRINTF as usize), fake_dprintf as *const () as u64);
}

#[test]
fn a_strong_symbol_of_the_kernel_beats_a_weak_one_of_the_add_on() {
    let _alone = alone();
    let mut addon = Addon::good();
    addon.symbols[FUNCTION as usize - 1] =
        Sym { name: "dprintf", kind: STT_FUNC.0, bind: STB_WEAK.0, section: 1, value: CODE };
    addon.symbols[IMPORT as usize - 1].name = "unused";
    addon.relocations[0].symbol = FUNCTION;
    let image = try_load(&addon.bytes()).expect("defined twice is no fault");
    assert_eq!(word(image.base() + SLOT_DPRINTF as usize), fake_dprintf as *const () as u64);
}

#[test]
fn an_undefined_weak_import_is_zero() {
    let _alone = alone();
    let mut addon = Addon::good();
    addon.symbols[IMPORT as usize - 1].name = "undefined_anywhere";
    addon.symbols[IMPORT as usize - 1].bind = STB_WEAK.0;
    let image = try_load(&addon.bytes()).expect("weak imports may be missing");
    assert_eq!(word(image.base() + SLOT_DPRINTF as usize), 0);
}

#[test]
fn headers_that_the_kernel_passes_over_are_passed_over_with_its_message() {
    let _alone = alone();
    let mut addon = Addon::good();
    let extra = Header { kind: 0, flags: 4, offset: 0, address: 0, in_file: 0, in_memory: 0 };
    addon.headers.push(Header { kind: PT_GNU_STACK.0, ..extra });
    addon.headers.push(Header { kind: PT_NOTE.0, ..extra });
    let image = try_load(&addon.bytes()).expect("no rule is broken");
    assert_eq!(image.log(), ["fixture: unhandled pheader type 0x4"]);
}

#[test]
fn a_file_on_disk_is_loaded_and_a_missing_one_refused() {
    let _alone = alone();
    let directory = std::env::temp_dir().join(format!("haiku-loader-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("the temporary directory is writable");
    let path = directory.join("tun_tap");
    std::fs::write(&path, Addon::good().bytes()).expect("the temporary directory is writable");
    let image = load(&path, &kernel()).expect("the fixture is good");
    assert_eq!(image.name(), path.to_str().expect("plain"));
    drop(image);
    std::fs::remove_dir_all(&directory).expect("it was just made");
    let error = load(&path, &kernel()).expect_err("it is gone");
    assert_eq!(error.rule, Rule::File);
    assert_nothing_mapped();
}
