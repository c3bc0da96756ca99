//! The grammar of jinja2's tags, as far as it takes to find what stands on both sides of an operator.

use super::lexer::{Kind, Token};
use super::translate::{ITERATED, REMAINDER, push_literal};

/// Deepest nesting of brackets and conditions that is looked into; the renderer refuses less.
const MOST_LEVELS: u32 = 300;

/// Most calls for `%` inside one another.
const MOST_REMAINDERS: u32 = 50;

/// Nobody sets it.
const UNSET: &str = "__unset__";

/// `None` where the grammar does not go on.
type Understood = Option<()>;

/// Levels of the grammar's operators, the loosest first.
const OR: u32 = 0;
const NOT: u32 = 2;
const COMPARE: u32 = 3;
const PRODUCT: u32 = 6;
const POWER: u32 = 7;

/// Says tokens in the renderer's words.
pub(super) struct Translator<'t, 's> {
    tokens: &'t [Token<'s>],
    at: usize,
    pub out: String,
    levels: u32,
}

impl<'t, 's> Translator<'t, 's> {
    /// Goes on behind `out`.
    pub fn new(tokens: &'t [Token<'s>], out: String) -> Self {
        Self { tokens, at: 0, out, levels: 0 }
    }

    /// The tag without its marks; `false` where it is not understood, or not to its end.
    pub fn tag(&mut self, block: bool) -> bool {
        let understood = if block { self.statement() } else { self.several(Self::conditional) };
        understood.is_some() && self.at == self.tokens.len()
    }

    fn peek(&self, ahead: usize) -> Option<(Kind, &str)> {
        self.tokens.get(self.at + ahead).map(|token| (token.kind, token.text))
    }

    fn is(&self, kind: Kind, text: &str) -> bool {
        self.peek(0) == Some((kind, text))
    }

    fn is_operator(&self, text: &str) -> bool {
        self.is(Kind::Operator, text)
    }

    /// Passes on the next token.
    fn pass(&mut self) -> Understood {
        let token = self.tokens.get(self.at)?;
        self.out.push_str(token.before);
        match token.kind {
            Kind::Text => push_literal(&mut self.out, token.text),
            _ => self.out.push_str(token.text),
        }
        self.at += 1;
        Some(())
    }

    /// Passes on the next token if it is that one.
    fn pass_if(&mut self, kind: Kind, text: &str) -> bool {
        self.is(kind, text) && self.pass().is_some()
    }

    fn pass_name(&mut self) -> Understood {
        if !matches!(self.peek(0), Some((Kind::Name, _))) {
            return None;
        }
        self.pass()
    }

    fn pass_operator(&mut self, text: &str) -> Understood {
        self.pass_if(Kind::Operator, text).then_some(())
    }

    /// Says another word instead of the next token.
    fn say_instead(&mut self, word: &str) -> Understood {
        let token = self.tokens.get(self.at)?;
        self.out.push_str(token.before);
        self.out.push_str(word);
        self.at += 1;
        Some(())
    }

    fn statement(&mut self) -> Understood {
        let (Kind::Name, word) = self.peek(0)? else { return None };
        match word {
            "if" | "elif" => {
                self.pass()?;
                self.several(Self::conditional)
            }
            "for" => self.for_loop(),
            "set" => self.set(),
            "with" => self.with(),
            "macro" => self.macro_head(),
            "call" => {
                self.pass()?;
                if self.is_operator("(") {
                    self.group(")")?;
                }
                self.conditional()
            }
            "filter" => {
                self.pass()?;
                self.filter()?;
                self.filters()
            }
            // What the assistant said, and a part that a template built on this one could replace: both have names of
            // their own inside.
            "generation" if self.tokens.len() == 1 => self.say_instead("with"),
            "endgeneration" if self.tokens.len() == 1 => self.say_instead("endwith"),
            "block" if self.tokens.len() == 2 => self.block("with"),
            "endblock" if self.tokens.len() <= 2 => self.block("endwith"),
            _ => None,
        }
    }

    fn block(&mut self, word: &str) -> Understood {
        self.say_instead(word)?;
        self.at = self.tokens.len();
        Some(())
    }

    /// Expressions between commas.
    fn several(&mut self, one: fn(&mut Self) -> Understood) -> Understood {
        one(self)?;
        while self.pass_if(Kind::Operator, ",") {
            if matches!(self.peek(0), None | Some((Kind::Name, "if" | "recursive"))) {
                break;
            }
            one(self)?;
        }
        Some(())
    }

    /// What is set: names up to the `=`, or up to the filters of a block.
    fn target(&mut self) -> Understood {
        while self.peek(0).is_some() && !self.is_operator("=") && !self.is_operator("|") {
            self.pass()?;
        }
        Some(())
    }

    /// `set a, b = x, y`, `set a`, `set a | trim`.
    fn set(&mut self) -> Understood {
        self.pass()?;
        self.target()?;
        if self.pass_if(Kind::Operator, "=") { self.several(Self::conditional) } else { self.filters() }
    }

    /// `with a = x, b = y`.
    fn with(&mut self) -> Understood {
        self.pass()?;
        while self.peek(0).is_some() {
            self.target()?;
            self.pass_operator("=")?;
            self.conditional()?;
            self.pass_if(Kind::Operator, ",");
        }
        Some(())
    }

    fn for_loop(&mut self) -> Understood {
        self.pass()?;
        while !self.is(Kind::Name, "in") {
            self.pass()?;
        }
        self.pass()?;
        self.out.push(' ');
        self.out.push_str(ITERATED);
        self.out.push('(');
        self.several(|own| own.operators(OR))?;
        self.out.push(')');
        if self.pass_if(Kind::Name, "if") {
            self.conditional()?;
        }
        self.pass_if(Kind::Name, "recursive");
        Some(())
    }

    /// A default may name an argument before it, which the renderer cannot see: such a one is set in the body.
    fn macro_head(&mut self) -> Understood {
        self.pass()?;
        self.pass_name()?;
        self.pass_operator("(")?;
        let mut arguments: Vec<String> = Vec::new();
        let mut in_body = String::new();
        while !self.is_operator(")") {
            let name = self.peek(0)?.1.to_owned();
            self.pass_name()?;
            if self.pass_if(Kind::Operator, "=") {
                let (from, start) = (self.at, self.out.len());
                self.conditional()?;
                let names = self.tokens[from..self.at].iter().filter(|token| token.kind == Kind::Name);
                if names.map(|token| token.text).any(|used| arguments.iter().any(|argument| argument == used)) {
                    let default = self.out.split_off(start);
                    self.out.push_str(UNSET);
                    in_body += &format!(" %}}{{% if {name} is undefined %}}{{% set {name} = {default} %}}{{% endif");
                }
            }
            arguments.push(name);
            if !self.pass_if(Kind::Operator, ",") && !self.is_operator(")") {
                return None;
            }
        }
        self.pass()?;
        self.out.push_str(&in_body);
        Some(())
    }

    /// `a if b else c`.
    fn conditional(&mut self) -> Understood {
        self.levels += 1;
        if self.levels > MOST_LEVELS {
            return None;
        }
        self.operators(OR)?;
        while self.pass_if(Kind::Name, "if") {
            self.operators(OR)?;
            if self.pass_if(Kind::Name, "else") {
                self.conditional()?;
            }
        }
        self.levels -= 1;
        Some(())
    }

    /// Operands between operators of a level, and of all that bind tighter.
    fn operators(&mut self, level: u32) -> Understood {
        if level == NOT {
            while self.pass_if(Kind::Name, "not") {}
            return self.operators(COMPARE);
        }
        if level > POWER {
            return self.unary(true);
        }
        let start = self.out.len();
        let (mut in_remainder, mut remainders) = (false, 0);
        self.operators(level + 1)?;
        while let Some(operator) = self.operator(level) {
            if operator == "%" {
                // One call for the whole chain: `a % b % c`.
                if !in_remainder {
                    remainders += 1;
                    if remainders > MOST_REMAINDERS {
                        return None;
                    }
                    self.out.insert_str(start, &format!(" {REMAINDER}("));
                }
                self.say_instead(",")?;
                in_remainder = true;
            } else {
                if std::mem::take(&mut in_remainder) {
                    self.out.push(')');
                }
                for _ in operator.split(' ') {
                    self.pass()?;
                }
            }
            self.operators(level + 1)?;
        }
        if in_remainder {
            self.out.push(')');
        }
        Some(())
    }

    /// The operator that comes, if it is one of that level.
    fn operator(&self, level: u32) -> Option<&'static str> {
        let of_level: &[&str] = match level {
            OR => &["or"],
            1 => &["and"],
            COMPARE => &["==", "!=", "<", "<=", ">", ">=", "in", "not in"],
            4 => &["+", "-"],
            5 => &["~"],
            PRODUCT => &["*", "/", "//", "%"],
            _ => &["**"],
        };
        let text = self.peek(0)?.1;
        let found = |operator: &&&str| match operator.split_once(' ') {
            Some((first, second)) => text == first && self.peek(1).is_some_and(|token| token.1 == second),
            None => text == **operator,
        };
        of_level.iter().find(found).copied()
    }

    fn unary(&mut self, with_filters: bool) -> Understood {
        self.levels += 1;
        if self.levels > MOST_LEVELS {
            return None;
        }
        if self.pass_if(Kind::Operator, "-") {
            self.unary(false)?;
        } else if self.is_operator("+") {
            self.say_instead(" ")?;
            self.unary(false)?;
        } else {
            self.primary()?;
        }
        self.postfix()?;
        if with_filters {
            self.filters()?;
        }
        self.levels -= 1;
        Some(())
    }

    fn primary(&mut self) -> Understood {
        match self.peek(0)? {
            (Kind::Operator, "(") => self.group(")"),
            (Kind::Operator, "[") => self.group("]"),
            (Kind::Operator, "{") => self.group("}"),
            (Kind::Operator, _) => None,
            (Kind::Text, _) => {
                while matches!(self.peek(0), Some((Kind::Text, _))) {
                    self.pass()?;
                }
                Some(())
            }
            _ => self.pass(),
        }
    }

    /// All in brackets: items, arguments with and without names, stretches.
    fn group(&mut self, close: &str) -> Understood {
        self.pass()?;
        while !self.pass_if(Kind::Operator, close) {
            let named = self.peek(1) == Some((Kind::Operator, "="));
            match self.peek(0)? {
                (Kind::Operator, "," | ":" | "*" | "**") => self.pass()?,
                (Kind::Name, _) if named => {
                    self.pass()?;
                    self.pass()?;
                }
                _ => self.conditional()?,
            }
        }
        Some(())
    }

    fn postfix(&mut self) -> Understood {
        loop {
            if self.pass_if(Kind::Operator, ".") {
                self.pass()?;
            } else if self.is_operator("[") {
                self.group("]")?;
            } else if self.is_operator("(") {
                self.group(")")?;
            } else {
                return Some(());
            }
        }
    }

    fn filter(&mut self) -> Understood {
        self.pass_name()?;
        while self.pass_if(Kind::Operator, ".") {
            self.pass_name()?;
        }
        if self.is_operator("(") { self.group(")") } else { Some(()) }
    }

    /// Filters and tests, which bind tighter than any operator.
    fn filters(&mut self) -> Understood {
        loop {
            if self.pass_if(Kind::Operator, "|") {
                self.filter()?;
            } else if self.pass_if(Kind::Name, "is") {
                self.pass_if(Kind::Name, "not");
                self.filter()?;
                // An argument without brackets.
                match self.peek(0) {
                    Some((Kind::Name, "else" | "or" | "and" | "if" | "in" | "not" | "is" | "recursive")) => (),
                    Some((Kind::Name | Kind::Text | Kind::Number, _) | (Kind::Operator, "[" | "{")) => {
                        self.primary()?;
                        self.postfix()?;
                    }
                    _ => (),
                }
            } else {
                return Some(());
            }
        }
    }
}
