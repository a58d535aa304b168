//! No program has a loop: without CAP_PERFMON the verifier of kernels before 6.17 follows one past its bound (lb-ebpf/src/unrolled.rs).

use std::collections::HashMap;

use lb_agent::datapath::programs::load::{OBJECT, log_object};
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget, SymbolKind};

/// A function of the object.
struct Function {
    /// Where each instruction may go on, by its number.
    next: Vec<Vec<usize>>,
    /// What it calls.
    calls: Vec<String>,
}

#[test]
fn no_program_has_a_loop_nor_calls_what_has_one() {
    for object in [OBJECT, log_object().unwrap()] {
        let functions = functions(object);
        let with_loops: Vec<&str> = names(&functions, |function| has_loop(&function.next));
        // The compiler's own are there, and would loop.
        assert_eq!(with_loops, ["memcpy", "memmove", "memset"]);
        let callers = names(&functions, |function| {
            function.calls.iter().any(|called| with_loops.contains(&called.as_str()))
        });
        assert_eq!(callers, [""; 0], "these copy or clear memory by the compiler's own functions");
        assert!(functions.len() > 20, "{}", functions.len());
        let calls: usize = functions.values().map(|function| function.calls.len()).sum();
        assert!(calls > 20, "calls are found: {calls}");
    }
}

fn names(functions: &HashMap<String, Function>, is_meant: impl Fn(&Function) -> bool) -> Vec<&str> {
    let mut names: Vec<&str> =
        functions.iter().filter(|(_, function)| is_meant(function)).map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names
}

fn functions(object: &[u8]) -> HashMap<String, Function> {
    let file = object::File::parse(object).unwrap();
    let mut functions = HashMap::new();
    for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0) {
        let section = file.section_by_index(symbol.section_index().unwrap()).unwrap();
        let code = section.data_range(symbol.address(), symbol.size()).unwrap().unwrap();
        let within = symbol.address()..symbol.address() + symbol.size();
        let relocations = section.relocations().filter(|(at, _)| within.contains(at));
        let calls = relocations.filter_map(|(_, relocation)| {
            let RelocationTarget::Symbol(index) = relocation.target() else { return None };
            let target = file.symbol_by_index(index).unwrap();
            (target.kind() == SymbolKind::Text).then(|| target.name().unwrap().to_owned())
        });
        let function = Function { next: ways(code), calls: calls.collect() };
        functions.insert(symbol.name().unwrap().to_owned(), function);
    }
    functions
}

/// By the kernel's Documentation/bpf/standardization/instruction-set.rst.
fn ways(code: &[u8]) -> Vec<Vec<usize>> {
    const LOAD_64: u8 = 0x18;
    const JUMP: u8 = 0x05;
    const CALL: u8 = 0x85;
    const EXIT: u8 = 0x95;
    let instructions: Vec<[u8; 8]> = code.chunks_exact(8).map(|bytes| bytes.try_into().unwrap()).collect();
    let way = |(at, instruction): (usize, &[u8; 8])| {
        let [opcode, _, low, high, ..] = *instruction;
        let target = || (at + 1).checked_add_signed(i16::from_le_bytes([low, high]).into()).unwrap();
        match opcode {
            EXIT => vec![],
            JUMP => vec![target()],
            LOAD_64 => vec![at + 2],
            CALL => vec![at + 1],
            // The classes of conditional jumps.
            _ if matches!(opcode & 7, 5 | 6) => vec![at + 1, target()],
            _ => vec![at + 1],
        }
    };
    instructions.iter().enumerate().map(way).collect()
}

/// Whether a walk from the first instruction on comes back to where it is under way.
fn has_loop(next: &[Vec<usize>]) -> bool {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Mark {
        New,
        UnderWay,
        Done,
    }
    let mut marks = vec![Mark::New; next.len()];
    let mut path = vec![(0, 0)];
    while let Some((at, way)) = path.pop() {
        marks[at] = Mark::UnderWay;
        let Some(&to) = next[at].get(way) else {
            marks[at] = Mark::Done;
            continue;
        };
        path.push((at, way + 1));
        match marks.get(to) {
            Some(Mark::UnderWay) => return true,
            Some(Mark::New) => path.push((to, 0)),
            Some(Mark::Done) | None => {}
        }
    }
    false
}

#[test]
fn a_loop_is_found_and_a_jump_back_to_what_is_done_is_none() {
    assert!(has_loop(&[vec![1], vec![2], vec![1, 3], vec![]]));
    assert!(!has_loop(&[vec![1, 3], vec![2], vec![], vec![1]]));
}
