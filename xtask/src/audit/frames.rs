//! Small stack frames: Haiku's kernel stacks have 16 KiB, and the stack's own code below a hook takes most of them.

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use crate::audit::Finding;
use crate::audit::code::{Code, Function};

/// The rule's name.
pub const RULE: &str = "small stack frames";

/// The most bytes that a function may reserve on the stack.
pub const MOST: u64 = 2048;

/// Looks for functions that reserve much of a kernel stack.
#[must_use]
pub fn check(code: &Code) -> Finding {
    let frames: Vec<_> = code.functions.iter().map(|function| (frame(function), function)).collect();
    let largest = frames.iter().map(|(bytes, _)| *bytes).max().unwrap_or(0);
    let details = frames
        .iter()
        .filter(|(bytes, _)| *bytes > MOST)
        .map(|(bytes, function)| {
            format!("{} reserves {bytes} bytes; build large values in their place, or divide it.", function.name)
        })
        .collect();
    Finding::new(RULE, format!("the largest has {largest} of {MOST} bytes"), details)
}

/// The bytes that a function reserves: the sum of its subtractions from the stack pointer, because a large frame is
/// reserved page by page.
fn frame(function: &Function) -> u64 {
    function.instructions.iter().filter_map(reserved).sum()
}

/// What an instruction reserves on the stack, in bytes.
fn reserved(instruction: &Instruction) -> Option<u64> {
    let is_subtraction = instruction.mnemonic() == Mnemonic::Sub && instruction.op0_register() == Register::RSP;
    let is_constant = matches!(instruction.op1_kind(), OpKind::Immediate8to64 | OpKind::Immediate32to64);
    (is_subtraction && is_constant).then(|| instruction.immediate(1))
}

#[cfg(test)]
mod tests {
    use iced_x86::{Decoder, DecoderOptions};

    use super::*;

    fn function(bytes: &[u8]) -> Function {
        let instructions: Vec<_> = Decoder::with_ip(64, bytes, 0x1000, DecoderOptions::NONE).into_iter().collect();
        Function { name: "made".to_owned(), addresses: 0x1000..0x1000 + bytes.len() as u64, instructions }
    }

    #[test]
    fn a_frame_is_what_all_subtractions_reserve() {
        // sub rsp, 0x1000; sub rsp, 0x18; sub rax, 0x1000; ret
        let code = [0x48, 0x81, 0xec, 0, 0x10, 0, 0, 0x48, 0x83, 0xec, 0x18, 0x48, 0x2d, 0, 0x10, 0, 0, 0xc3];
        assert_eq!(frame(&function(&code)), 0x1018);
    }

    #[test]
    fn a_large_frame_breaks_the_rule_and_a_small_one_does_not() {
        let large = check(&Code { functions: vec![function(&[0x48, 0x81, 0xec, 0x08, 0x08, 0, 0, 0xc3])] });
        assert!(!large.passed && large.details[0].contains("2056 bytes"), "{large:?}");
        assert!(check(&Code { functions: vec![function(&[0x48, 0x81, 0xec, 0, 0x08, 0, 0, 0xc3])] }).passed);
    }
}
