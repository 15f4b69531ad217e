//! No reachable trap: the instruction `ud2`, with which the compiler ends what it believes cannot happen.
//!
//! Executed, it stops the kernel just as a panic does. One kind of `ud2` is let through: the one behind the overflow
//! check of a reference count. `Arc::clone` increments atomically and aborts when the count has become negative, which
//! takes 2^63 clones. Such a `ud2` is recognised by all its entries being conditional jumps that follow, within a few
//! instructions and without another jump between, an instruction with the `lock` prefix. Every other `ud2` fails,
//! also one whose entry cannot be seen (a jump table): the source then promises the compiler something
//! (`unreachable_unchecked`, an `enum` without variants, a call that never returns) that the audit cannot confirm.

use iced_x86::{FlowControl, Instruction, Mnemonic};

use crate::audit::Finding;
use crate::audit::code::{Code, Function};
use crate::audit::lines::Lines;

/// The rule's name.
pub const RULE: &str = "no reachable trap (ud2)";

/// How far before the jump the atomic increment may be.
const WINDOW: usize = 4;

/// Looks for `ud2` that could be executed.
#[must_use]
pub fn check(code: &Code, lines: &Lines) -> Finding {
    let (mut guarded, mut details) = (0, Vec::new());
    for function in &code.functions {
        for (index, instruction) in function.instructions.iter().enumerate() {
            if instruction.mnemonic() != Mnemonic::Ud2 {
                continue;
            }
            let entries = entries(function, index);
            if !entries.is_empty() && entries.iter().all(|&entry| is_overflow_check(function, entry)) {
                guarded += 1;
                continue;
            }
            let offset = instruction.ip() - function.addresses.start;
            let how = match entries.first() {
                None => "by a jump that the audit cannot see".to_owned(),
                Some(&entry) => {
                    let from = &function.instructions[entry];
                    format!("from +{:#x} ({:?})", from.ip() - function.addresses.start, from.mnemonic())
                }
            };
            let place = lines.place(instruction.ip()).map_or(String::new(), |place| format!(", at {place}"));
            details.push(format!("{} +{offset:#x}{place}, entered {how}.", function.name));
        }
    }
    let figures = format!("{} unexplained, {guarded} behind reference counts", details.len());
    Finding::new(RULE, figures, details)
}

/// The instructions from which the one at `index` is entered: jumps to it, and the one before if it runs on.
fn entries(function: &Function, index: usize) -> Vec<usize> {
    let target = function.instructions[index].ip();
    let jumps_here = |instruction: &Instruction| {
        matches!(instruction.flow_control(), FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch)
            && instruction.near_branch_target() == target
    };
    let mut entries: Vec<usize> =
        (0..function.instructions.len()).filter(|&other| jumps_here(&function.instructions[other])).collect();
    let runs_on = |instruction: &Instruction| {
        !matches!(
            instruction.flow_control(),
            FlowControl::UnconditionalBranch
                | FlowControl::IndirectBranch
                | FlowControl::Return
                | FlowControl::Exception
                | FlowControl::Interrupt
        )
    };
    if let Some(before) = index.checked_sub(1)
        && runs_on(&function.instructions[before])
    {
        entries.push(before);
    }
    entries
}

/// Whether the instruction at `index` is a conditional jump right after an atomic change.
fn is_overflow_check(function: &Function, index: usize) -> bool {
    let instructions = &function.instructions;
    if instructions[index].flow_control() != FlowControl::ConditionalBranch {
        return false;
    }
    let before = instructions[..index].iter().rev().take(WINDOW);
    let mut straight = before.take_while(|instruction| instruction.flow_control() == FlowControl::Next);
    straight.any(Instruction::has_lock_prefix)
}
