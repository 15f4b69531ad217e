//! The reference graph: functions, data and imports, and the calls and pointers between them.
//!
//! A function refers to what it calls and to what it takes the address of; data refers to the targets of its pointers,
//! which are relocations. All code that can run is reachable from the exported symbols.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use iced_x86::{Instruction, OpKind, Register};
use object::elf::STT_OBJECT;

use crate::audit::code::{Code, readable};
use crate::audit::elf::Addon;

/// A node of the graph.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// A function, by its place in the list of [`Code`].
    Function(usize),
    /// Data, by its address.
    Data(u64),
    /// A symbol of the kernel.
    Import(String),
}

/// A reference, with the address of the instruction that makes it (of the pointer, in data).
#[derive(Clone, Debug)]
pub struct Edge {
    /// The node that refers.
    pub from: Node,
    /// The node that is referred to.
    pub to: Node,
    /// Where.
    pub site: u64,
}

/// All references of an add-on.
#[derive(Debug)]
pub struct Graph<'a> {
    addon: &'a Addon,
    code: &'a Code,
    /// The addresses at which pieces of data begin.
    anchors: BTreeSet<u64>,
    /// Every reference.
    pub edges: Vec<Edge>,
    names: BTreeMap<u64, String>,
}

impl<'a> Graph<'a> {
    /// Collects all references.
    #[must_use]
    pub fn new(addon: &'a Addon, code: &'a Code) -> Self {
        let variables = addon.symbols.iter().filter(|symbol| symbol.kind == STT_OBJECT.0 && symbol.defined);
        let names: BTreeMap<u64, String> = variables.map(|symbol| (symbol.address, readable(&symbol.name))).collect();
        let mut anchors: BTreeSet<u64> = names.keys().copied().collect();
        let instructions = code.functions.iter().flat_map(|function| &function.instructions);
        anchors.extend(instructions.filter_map(data_address));
        anchors.extend(addon.relocations.values().filter(|one| one.symbol.is_none()).map(|one| one.addend));
        let mut graph = Self { addon, code, anchors, edges: Vec::new(), names };
        graph.collect();
        graph
    }

    fn collect(&mut self) {
        let mut edges = Vec::new();
        for (index, function) in self.code.functions.iter().enumerate() {
            for instruction in &function.instructions {
                for to in self.targets(instruction) {
                    if to != Node::Function(index) {
                        edges.push(Edge { from: Node::Function(index), to, site: instruction.ip() });
                    }
                }
            }
        }
        for relocation in self.addon.relocations.values() {
            if let (Some(from), Some(to)) = (self.data(relocation.offset), self.pointee(relocation.offset)) {
                edges.push(Edge { from, to, site: relocation.offset });
            }
        }
        self.edges = edges;
    }

    /// What an instruction refers to.
    fn targets(&self, instruction: &Instruction) -> Vec<Node> {
        let mut targets = Vec::new();
        if (0..instruction.op_count()).any(|operand| instruction.op_kind(operand) == OpKind::NearBranch64) {
            targets.extend(self.at(instruction.near_branch_target()));
        }
        if let Some(address) = data_address(instruction) {
            // Through a slot of the global offset table, the target is the slot's pointer.
            targets.extend(self.pointee(address));
            targets.extend(self.at(address));
        }
        targets
    }

    /// The function or the data at an address.
    fn at(&self, address: u64) -> Option<Node> {
        self.code.function_at(address).map(Node::Function).or_else(|| self.data(address))
    }

    /// The piece of data that holds an address.
    fn data(&self, address: u64) -> Option<Node> {
        let inside = self.addon.loadable().find(|segment| segment.addresses.contains(&address))?;
        let anchor = self.anchors.range(inside.addresses.start..=address).next_back();
        Some(Node::Data(*anchor.unwrap_or(&inside.addresses.start)))
    }

    /// What the pointer at an address leads to once it is relocated.
    fn pointee(&self, address: u64) -> Option<Node> {
        let relocation = self.addon.relocations.get(&address)?;
        match &relocation.symbol {
            None => self.at(relocation.addend),
            Some(name) => {
                let own = self.addon.dynamic_symbols.iter().find(|symbol| symbol.defined && symbol.name == *name);
                own.map_or_else(|| Some(Node::Import(name.clone())), |symbol| self.at(symbol.address))
            }
        }
    }

    /// A name for messages.
    #[must_use]
    pub fn name(&self, node: &Node) -> String {
        match node {
            Node::Function(index) => self.code.functions[*index].name.clone(),
            Node::Data(address) => {
                self.names.get(address).cloned().unwrap_or_else(|| format!("constant at {address:#x}"))
            }
            Node::Import(name) => format!("the kernel's {name}"),
        }
    }

    /// The shortest path from an exported symbol to `node`, both included; empty if there is none.
    #[must_use]
    pub fn way_to(&self, node: &Node) -> Vec<Node> {
        let exported = self.addon.dynamic_symbols.iter().filter(|symbol| symbol.defined);
        let mut queue: VecDeque<Node> = exported.filter_map(|symbol| self.at(symbol.address)).collect();
        let mut forward: HashMap<&Node, Vec<&Node>> = HashMap::new();
        for edge in &self.edges {
            forward.entry(&edge.from).or_default().push(&edge.to);
        }
        let mut came_from: HashMap<Node, Option<Node>> = queue.iter().map(|root| (root.clone(), None)).collect();
        while let Some(here) = queue.pop_front() {
            if here == *node {
                let mut way = vec![here];
                while let Some(Some(before)) = came_from.get(way.last().expect("it has one")) {
                    way.push(before.clone());
                }
                way.reverse();
                return way;
            }
            for next in forward.get(&here).into_iter().flatten() {
                if !came_from.contains_key(*next) {
                    came_from.insert((*next).clone(), Some(here.clone()));
                    queue.push_back((*next).clone());
                }
            }
        }
        Vec::new()
    }

    /// Describes the path to `node`.
    #[must_use]
    pub fn describe_way(&self, node: &Node) -> String {
        let names: Vec<String> = self.way_to(node).iter().map(|step| self.name(step)).collect();
        if names.is_empty() { "no way from an export that the audit can see".to_owned() } else { names.join(" -> ") }
    }
}

/// The address of the data that an instruction uses or takes the address of.
fn data_address(instruction: &Instruction) -> Option<u64> {
    (instruction.memory_base() == Register::RIP).then(|| instruction.ip_rel_memory_address())
}
