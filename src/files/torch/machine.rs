//! Runs the pickle inside a checkpoint, as far as it makes tensors and containers.
//!
//! A pickle is a program: it can name any function of any Python module and call it. Here a name is one of the few of
//! [`Name`] or the file is refused, and a call is one of the few that [`Machine::call`] spells out.
//!
//! **Invariant:** nothing is called, imported or opened; each byte of the program makes at most one [`Value`], so the
//! memory is bounded by the program's length.

use std::collections::HashMap;

use super::program::Program;
use crate::error::ModelError;

/// Most dimensions of a tensor.
const MAX_DIMENSIONS: usize = 8;

/// What a program can make. Containers stand in the machine's lists, and a value names them by index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    /// None, a float, bytes: what no tensor is made of.
    Nothing,
    Truth(bool),
    Integer(i64),
    Text(&'a str),
    Tuple(usize),
    List,
    Dict(usize),
    Name(Name<'a>),
    Storage(usize),
    Tensor(usize),
}

impl<'a> Value<'a> {
    pub fn text(&self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// The names that a program may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name<'a> {
    /// `collections.OrderedDict`
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2`
    Tensor,
    /// `torch._utils._rebuild_parameter`
    Parameter,
    /// `torch.FloatStorage` and its like: the part before `Storage`.
    Storage(&'a str),
}

/// Numbers as they lie in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Storage<'a> {
    /// `Float`, `Half`, `BFloat16`, ...
    pub kind: &'a str,
    /// Name of the entry below `data/`.
    pub key: &'a str,
    /// Numbers in it.
    pub length: usize,
}

/// A view of a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// Index into [`Machine::storages`].
    pub storage: usize,
    /// First number.
    pub offset: usize,
    pub shape: Vec<usize>,
    /// Numbers from one index to the next, per dimension.
    pub strides: Vec<usize>,
}

/// The state of a run, and its result.
#[derive(Debug)]
pub(crate) struct Machine<'a> {
    program: Program<'a>,
    stack: Vec<Value<'a>>,
    /// Where the stack began at each mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    tuples: Vec<Vec<Value<'a>>>,
    /// Keys and values in the order of setting.
    pub dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    pub storages: Vec<Storage<'a>>,
    pub views: Vec<View>,
}

impl<'a> Machine<'a> {
    /// Runs the program to its end; gives the machine and what the program made.
    pub fn run(code: &'a [u8], file: &'a str) -> Result<(Self, Value<'a>), ModelError> {
        let mut machine = Self {
            program: Program::new(code, file),
            stack: vec![],
            marks: vec![],
            memo: HashMap::new(),
            tuples: vec![],
            dicts: vec![],
            storages: vec![],
            views: vec![],
        };
        loop {
            match machine.program.byte()? {
                b'.' => break,
                instruction => machine.step(instruction)?,
            }
        }
        let result = machine.pop()?;
        Ok((machine, result))
    }

    fn step(&mut self, instruction: u8) -> Result<(), ModelError> {
        match instruction {
            // Protocol and frame only say what follows.
            0x80 => drop(self.program.byte()?),
            0x95 => drop(self.program.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.since_mark()?),
            b'2' => self.stack.push(self.top()?),
            b'N' => self.stack.push(Value::Nothing),
            0x88 => self.stack.push(Value::Truth(true)),
            0x89 => self.stack.push(Value::Truth(false)),
            b'}' => self.push_dict(),
            b']' => self.stack.push(Value::List),
            b')' => self.push_tuple(vec![]),
            b't' => {
                let items = self.since_mark()?;
                self.push_tuple(items);
            }
            0x85..=0x87 => {
                let items = self.last(usize::from(instruction - 0x84))?;
                self.push_tuple(items);
            }
            b's' => {
                let items = self.last(2)?;
                self.set(&items)?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set(&items)?;
            }
            b'a' => {
                self.last(1)?;
                self.expect_list()?;
            }
            b'e' => {
                self.since_mark()?;
                self.expect_list()?;
            }
            b'd' => {
                let items = self.since_mark()?;
                self.push_dict();
                self.set(&items)?;
            }
            b'l' => {
                self.since_mark()?;
                self.stack.push(Value::List);
            }
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.remember(instruction)?,
            b'c' | 0x93 => self.name(instruction)?,
            b'Q' => self.storage()?,
            b'R' => self.call()?,
            b'b' => self.build()?,
            _ => {
                let value = self.program.literal(instruction)?;
                self.stack.push(value);
            }
        }
        Ok(())
    }

    fn wrong(&self, why: &str) -> ModelError {
        self.program.wrong(why)
    }

    fn pop(&mut self) -> Result<Value<'a>, ModelError> {
        // What stands below the last mark belongs to another list.
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.wrong("takes a value from an empty stack"));
        }
        self.stack.pop().ok_or_else(|| self.wrong("takes a value from an empty stack"))
    }

    fn top(&self) -> Result<Value<'a>, ModelError> {
        self.stack.last().copied().ok_or_else(|| self.wrong("takes a value from an empty stack"))
    }

    fn last(&mut self, n_items: usize) -> Result<Vec<Value<'a>>, ModelError> {
        let mut items = (0..n_items).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        Ok(items)
    }

    fn since_mark(&mut self) -> Result<Vec<Value<'a>>, ModelError> {
        match self.marks.pop() {
            Some(start) if start <= self.stack.len() => Ok(self.stack.split_off(start)),
            _ => Err(self.wrong("closes a list that was not begun")),
        }
    }

    fn push_dict(&mut self) {
        self.stack.push(Value::Dict(self.dicts.len()));
        self.dicts.push(vec![]);
    }

    fn push_tuple(&mut self, items: Vec<Value<'a>>) {
        self.stack.push(Value::Tuple(self.tuples.len()));
        self.tuples.push(items);
    }

    /// Sets keys of the dict on top; its values alternate with its keys.
    fn set(&mut self, items: &[Value<'a>]) -> Result<(), ModelError> {
        let Value::Dict(index) = self.top()? else { return Err(self.wrong("sets a key of what is no dict")) };
        if !items.len().is_multiple_of(2) {
            return Err(self.wrong("sets a key without a value"));
        }
        self.dicts[index].extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        Ok(())
    }

    fn expect_list(&self) -> Result<(), ModelError> {
        match self.top()? {
            Value::List => Ok(()),
            _ => Err(self.wrong("appends to what is no list")),
        }
    }

    fn remember(&mut self, instruction: u8) -> Result<(), ModelError> {
        let index = match instruction {
            b'q' | b'h' => u32::from(self.program.byte()?),
            b'r' | b'j' => self.program.u32()?,
            _ => self.memo.len() as u32,
        };
        if matches!(instruction, b'h' | b'j') {
            let value = self.memo.get(&index).copied();
            let value = value.ok_or_else(|| self.wrong("recalls what it never stored"))?;
            self.stack.push(value);
        } else {
            self.memo.insert(index, self.top()?);
        }
        Ok(())
    }

    fn name(&mut self, instruction: u8) -> Result<(), ModelError> {
        let (module, name) = if instruction == b'c' {
            (self.program.line()?, self.program.line()?)
        } else {
            match self.last(2)?[..] {
                [Value::Text(module), Value::Text(name)] => (module, name),
                _ => return Err(self.wrong("imports what is no name")),
            }
        };
        let name = match (module, name) {
            ("collections", "OrderedDict") => Name::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Name::Tensor,
            ("torch._utils", "_rebuild_parameter") => Name::Parameter,
            _ => match name.strip_suffix("Storage").filter(|_| module == "torch") {
                Some(kind) => Name::Storage(kind),
                None => return Err(self.program.refuse(&format!("`{}.{}`", shown(module), shown(name)))),
            },
        };
        self.stack.push(Value::Name(name));
        Ok(())
    }

    /// `("storage", TYPE, key, device, length)` on top becomes a storage.
    fn storage(&mut self) -> Result<(), ModelError> {
        let Value::Tuple(index) = self.pop()? else { return Err(self.wrong("names a storage by what is no tuple")) };
        match self.tuples[index][..] {
            [Value::Text("storage"), Value::Name(Name::Storage(kind)), Value::Text(key), _, Value::Integer(length)]
                if length >= 0 =>
            {
                self.stack.push(Value::Storage(self.storages.len()));
                self.storages.push(Storage { kind, key, length: length as usize });
                Ok(())
            }
            _ => Err(self.wrong("names a storage that is not (\"storage\", type, key, device, length)")),
        }
    }

    fn call(&mut self) -> Result<(), ModelError> {
        let [Value::Name(name), Value::Tuple(arguments)] = self.last(2)?[..] else {
            return Err(self.wrong("calls what is no function"));
        };
        // No function here looks at more; a long tuple is not copied for each call that names it.
        let arguments: Vec<Value> = self.tuples[arguments].iter().copied().take(5).collect();
        match (name, &arguments[..]) {
            (Name::OrderedDict, []) => self.push_dict(),
            (Name::Parameter, [tensor @ Value::Tensor(_), ..]) => self.stack.push(*tensor),
            (
                Name::Tensor,
                [Value::Storage(storage), Value::Integer(offset), Value::Tuple(shape), Value::Tuple(strides), ..],
            ) => {
                let view = usize::try_from(*offset).ok().zip(self.sizes(*shape)).zip(self.sizes(*strides));
                let why = "makes a tensor of negative sizes or of too many dimensions";
                let ((offset, shape), strides) = view.ok_or_else(|| self.wrong(why))?;
                self.stack.push(Value::Tensor(self.views.len()));
                self.views.push(View { storage: *storage, offset, shape, strides });
            }
            (Name::OrderedDict, _) => return Err(self.wrong("makes an OrderedDict of other arguments than none")),
            (Name::Parameter, _) => return Err(self.wrong("makes a parameter of what is no tensor")),
            (Name::Tensor, _) => return Err(self.wrong("makes a tensor of other arguments than torch does")),
            (Name::Storage(_), _) => return Err(self.wrong("calls a storage")),
        }
        Ok(())
    }

    fn sizes(&self, tuple: usize) -> Option<Vec<usize>> {
        let size = |value: &Value| match value {
            Value::Integer(size) => usize::try_from(*size).ok(),
            _ => None,
        };
        let sizes = &self.tuples[tuple];
        if sizes.len() > MAX_DIMENSIONS { None } else { sizes.iter().map(size).collect() }
    }

    /// Attributes are given to dicts only (`_metadata` of a state dict), and mean nothing here.
    fn build(&mut self) -> Result<(), ModelError> {
        self.pop()?;
        match self.top()? {
            Value::Dict(_) => Ok(()),
            _ => Err(self.wrong("gives attributes to what is no dict")),
        }
    }
}

/// A name as a message may show it.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(80).collect()
}
