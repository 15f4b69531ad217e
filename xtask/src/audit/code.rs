//! The machine code, cut into functions, and what it must not do inside a kernel: use SSE or the red zone.

use std::ops::Range;

use iced_x86::{Code as Opcode, CpuidFeature, Decoder, DecoderOptions, Instruction, Mnemonic, Register};
use object::elf::STT_FUNC;

use crate::audit::Finding;
use crate::audit::elf::Addon;

/// A function: its name and its instructions.
#[derive(Debug)]
pub struct Function {
    /// Its name as the source has it.
    pub name: String,
    /// Its addresses.
    pub addresses: Range<u64>,
    /// Its instructions, in order.
    pub instructions: Vec<Instruction>,
}

/// The code of an add-on.
#[derive(Debug)]
pub struct Code {
    /// All functions, by address.
    pub functions: Vec<Function>,
}

impl Code {
    /// Disassembles all executable sections. Code outside every named function is taken as one without a name.
    #[must_use]
    pub fn disassemble(addon: &Addon) -> Self {
        let mut named: Vec<_> =
            addon.symbols.iter().filter(|symbol| symbol.kind == STT_FUNC.0 && symbol.defined).collect();
        named.sort_by_key(|symbol| (symbol.address, symbol.size));
        let mut functions = Vec::new();
        for (start, bytes) in &addon.code {
            let end = start + bytes.len() as u64;
            let mut at = *start;
            let inside = named.iter().filter(|symbol| (*start..end).contains(&symbol.address));
            for symbol in inside {
                // Several names for one function: the first has taken it.
                if symbol.address < at || symbol.size == 0 {
                    continue;
                }
                push_unnamed(&mut functions, at..symbol.address, *start, bytes);
                let addresses = symbol.address..(symbol.address + symbol.size).min(end);
                at = addresses.end;
                functions.push(disassemble(readable(&symbol.name), addresses, *start, bytes));
            }
            push_unnamed(&mut functions, at..end, *start, bytes);
        }
        Self { functions }
    }

    /// The function that holds `address`, by its place in the list.
    #[must_use]
    pub fn function_at(&self, address: u64) -> Option<usize> {
        let after = self.functions.partition_point(|function| function.addresses.start <= address);
        let index = after.checked_sub(1)?;
        self.functions[index].addresses.contains(&address).then_some(index)
    }

    /// No SSE, no x87, no red zone: what an ordinary Linux `core` would bring in.
    #[must_use]
    pub fn check_registers(&self) -> Vec<Finding> {
        let (mut vector, mut red) = (Vec::new(), Vec::new());
        let mut count = 0;
        for function in &self.functions {
            count += function.instructions.len();
            let place = |what: &str, instruction: &Instruction| {
                let offset = instruction.ip() - function.addresses.start;
                format!(
                    "{} +{offset:#x}: {what} ({instruction:?}).",
                    function.name,
                    instruction = instruction.mnemonic()
                )
            };
            if let Some(found) = function.instructions.iter().find(|instruction| uses_vectors(instruction)) {
                vector.push(place("uses a floating-point or vector register", found));
            }
            if let Some(found) = red_zone_use(function) {
                red.push(place("uses memory below the stack pointer", found));
            }
        }
        let instructions = format!("{count} instructions in {} functions", self.functions.len());
        vec![
            Finding::new("no floating point, no SSE", instructions, vector),
            Finding::new("no red zone", if red.is_empty() { "none" } else { "used" }, red),
        ]
    }
}

/// A symbol's name as the source has it, without hashes, and not endlessly long.
#[must_use]
pub fn readable(symbol: &str) -> String {
    let mut name = format!("{:#}", rustc_demangle::demangle(symbol));
    if name.chars().count() > 120 {
        name = name.chars().take(119).collect();
        name.push('…');
    }
    name
}

/// Adds the code of `addresses` as a function without a name, unless it is nothing but padding.
fn push_unnamed(functions: &mut Vec<Function>, addresses: Range<u64>, section: u64, bytes: &[u8]) {
    if addresses.is_empty() {
        return;
    }
    let name = format!("unnamed code at {:#x}", addresses.start);
    let function = disassemble(name, addresses, section, bytes);
    let padding = |instruction: &Instruction| {
        matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Int3)
            // Zeroes between sections read as this.
            || instruction.code() == Opcode::Add_rm8_r8 && instruction.op0_kind() == iced_x86::OpKind::Memory
            || instruction.is_invalid()
    };
    if !function.instructions.iter().all(padding) {
        functions.push(function);
    }
}

fn disassemble(name: String, addresses: Range<u64>, section: u64, bytes: &[u8]) -> Function {
    let range = (addresses.start - section) as usize..(addresses.end - section) as usize;
    let mut decoder = Decoder::with_ip(64, &bytes[range], addresses.start, DecoderOptions::NONE);
    Function { name, addresses, instructions: decoder.iter().collect() }
}

/// Whether the instruction touches a register that the kernel does not save for us.
fn uses_vectors(instruction: &Instruction) -> bool {
    let vector = |register: Register| {
        register.is_xmm() || register.is_ymm() || register.is_zmm() || register.is_mm() || register.is_st()
    };
    (0..instruction.op_count()).any(|operand| vector(instruction.op_register(operand)))
        || instruction.cpuid_features().contains(&CpuidFeature::FPU)
}

/// The first instruction that uses memory below the stack pointer.
///
/// Either it says so (`[rsp-8]`), or it uses the frame below `rbp` in a function that never moved `rsp` down.
fn red_zone_use(function: &Function) -> Option<&Instruction> {
    let below = |instruction: &&Instruction, base: Register| {
        instruction.mnemonic() != Mnemonic::Lea
            && instruction.memory_base() == base
            && (instruction.memory_displacement64() as i64) < 0
    };
    let mut instructions = function.instructions.iter();
    if let Some(found) = instructions.clone().find(|instruction| below(instruction, Register::RSP)) {
        return Some(found);
    }
    let is_frame_set = |instruction: &&Instruction| {
        instruction.mnemonic() == Mnemonic::Mov
            && instruction.op0_register() == Register::RBP
            && instruction.op1_register() == Register::RSP
    };
    instructions.find(is_frame_set)?;
    let moves_stack = |instruction: &Instruction| {
        instruction.mnemonic() == Mnemonic::Push
            || (instruction.op0_register() == Register::RSP
                && matches!(instruction.mnemonic(), Mnemonic::Sub | Mnemonic::And | Mnemonic::Add | Mnemonic::Lea))
    };
    if instructions.clone().any(moves_stack) {
        return None;
    }
    instructions.find(|instruction| below(instruction, Register::RBP))
}
