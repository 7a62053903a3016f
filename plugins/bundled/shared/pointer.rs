//! Patterns of places in a JSON value: JSON Pointers (RFC 6901) in which `*` stands for
//! any one name or index and `**` for any number of them.
//!
//! ```text
//! /items/*/id      the id of each item
//! /**/_links       every member _links, however deep
//! /items/0         the first item
//! ```
//!
//! All patterns are followed at once while a value is read: a state is a set of places
//! in the patterns, one bit each.

enum Step {
    Name(String, Option<usize>),
    Any,
    Deep,
    End,
}

/// How far the patterns have come.
pub type State = u128;

/// A list of patterns; the default has none.
#[derive(Default)]
pub struct Patterns {
    steps: Vec<Step>,
    start: State,
    ends: State,
}

impl Patterns {
    /// Adds a pattern. The error says what is wrong with it.
    pub fn add(&mut self, pattern: &str) -> Result<(), String> {
        let mut parts = pattern.split('/');
        if parts.next() != Some("") {
            return Err(format!("{:?} must begin with /", pattern));
        }
        let first = self.steps.len();
        for part in parts {
            self.steps.push(match part {
                "*" => Step::Any,
                "**" => Step::Deep,
                _ => {
                    let name = part.replace("~1", "/").replace("~0", "~");
                    let index = name.parse().ok().filter(|i: &usize| i.to_string() == name);
                    Step::Name(name, index)
                }
            });
        }
        self.steps.push(Step::End);
        if self.steps.len() > State::BITS as usize {
            return Err(format!("{:?} is too much: all patterns together may have {} names", pattern, State::BITS));
        }
        self.ends |= 1 << (self.steps.len() - 1);
        self.start |= self.enter(first);
        Ok(())
    }

    /// The state that begins at a step: ** may stand for nothing.
    fn enter(&self, mut step: usize) -> State {
        let mut state = 1 << step;
        while let Some(Step::Deep) = self.steps.get(step) {
            step += 1;
            state |= 1 << step;
        }
        state
    }

    /// At the whole value.
    pub fn start(&self) -> State {
        self.start
    }

    /// At the member of that name.
    pub fn name(&self, state: State, name: &str) -> State {
        self.step(state, |n, _| n == name)
    }

    /// At the element of an array.
    pub fn index(&self, state: State, index: usize) -> State {
        self.step(state, |_, i| *i == Some(index))
    }

    fn step(&self, state: State, is: impl Fn(&str, &Option<usize>) -> bool) -> State {
        let mut left = state & !self.ends;
        let mut next = 0;
        while left != 0 {
            let at = left.trailing_zeros() as usize;
            left &= left - 1;
            match &self.steps[at] {
                Step::Name(name, index) if !is(name, index) => {}
                Step::Deep => next |= self.enter(at),
                _ => next |= self.enter(at + 1),
            }
        }
        next
    }

    /// Whether a pattern ends here.
    pub fn hit(&self, state: State) -> bool {
        state & self.ends != 0
    }
}
