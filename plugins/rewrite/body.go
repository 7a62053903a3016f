package rewrite

// body is the code of one function, as far as the rewriter needs it.
type body struct {
	from, code, to int // bytes of the file: [from, code) declares locals, [code, to) is instructions
	locals         int // parameters included
	cost           int // of all its instructions, callees not counted
	frame          int // upper bound of its native stack frame, in bytes
	callees        []uint32
	indirect       []uint32 // types of call_indirect
	loops          bool
	bulk           bool // instructions whose time grows with a length
}

// open is an open block while its function is read.
type open struct {
	op              byte
	base            int // height of the operand stack below its parameters
	params, results int
}

// scan reads bodies one after the other and keeps the space for it.
type scan struct {
	p        *parsed
	in       instruction
	c        *cursor
	b        *body
	open     []open   // the function itself is the first
	marks    []uint64 // by open block: a bit for each local that it sets
	words    int      // of marks for one block
	height   int      // of the operand stack
	loops    int      // of the open blocks
	blocks   int      // basic blocks
	values   int      // that instructions make
	merges   int      // sum over the blocks of the locals that each changes
	joins    int      // sum over the basic blocks of the values that live across them
	targets  int      // of br_table
	outgoing int      // largest number of parameters and results of a call
}

func newScan(p *parsed) *scan { return &scan{p: p} }

// body reads one function, checks every index it uses, and notes in b what is
// asked later. Indices have to be proven here: past the end of the module's own
// globals, locals and functions stand those that Instrument adds.
func (s *scan) body(c *cursor, b *body, sig Signature) {
	p := s.p
	b.from, b.to = c.at, c.end
	b.locals = len(sig.Params)
	for n := c.count("groups of locals", 2, p.limits.Locals); n > 0 && c.err == nil; n-- {
		count := c.u32()
		valueType(c)
		if uint64(count)+uint64(b.locals) > uint64(p.limits.Locals) {
			c.refuse(fixLimit, "more than %d locals", p.limits.Locals)
			return
		}
		b.locals += int(count)
	}
	b.code = c.at
	*s = scan{p: p, c: c, b: b, open: s.open[:0], marks: s.marks[:0], in: instruction{targets: s.in.targets}}
	s.words = (b.locals + 63) / 64
	s.values = b.locals
	s.enter(open{op: opBlock, results: len(sig.Results)})
	s.block(3) // what is added at entry
	for len(s.open) > 0 && c.err == nil {
		if !c.more() {
			c.refuse("", "it ends before its last block")
			return
		}
		c.read(&s.in)
		if c.err == nil {
			s.instruction()
		}
	}
	if c.more() {
		c.refuse("", "code after its last end")
	}
	if c.err != nil {
		return
	}
	b.frame = 64 + 8*(s.values+s.merges+s.outgoing)
	l := &p.largest
	l.Locals = max(l.Locals, b.locals)
	l.Merges = max(l.Merges, s.merges)
	l.Targets = max(l.Targets, s.targets)
	l.Stack = max(l.Stack, b.frame)
	l.Joins = max(l.Joins, s.joins)
	if l.AllJoins += s.joins; l.AllJoins > p.limits.AllJoins {
		c.refuse(fixLimit, "its functions so far take the compiler more than %d joins", p.limits.AllJoins)
	}
}

// instruction checks and counts the one that was read.
func (s *scan) instruction() {
	p, c, b, in := s.p, s.c, s.b, &s.in
	o := opcodes[in.op]
	b.cost += int(o.cost)
	s.values += int(o.push)
	s.height += int(o.grow)
	switch in.op {
	case opBlock, opLoop, opIf:
		s.start()
	case opElse:
		top := &s.open[len(s.open)-1]
		if top.op != opIf {
			c.refuse("", "else without if")
		}
		top.op = opElse
		s.height = top.base + top.params
	case opEnd:
		s.leave()
	case opBr:
		s.label(in.a)
		s.never()
	case opBrIf:
		s.label(in.a)
		s.block(1)
	case opBrTable:
		for _, l := range in.targets {
			s.label(l)
		}
		if s.targets += len(in.targets); s.targets > p.limits.Targets {
			c.refuse(fixLimit, "more than %d targets of br_table", p.limits.Targets)
		}
		s.block(1 + len(in.targets)/8)
		s.never()
	case opReturn, opUnreachable:
		s.never()
	case opCall:
		if uint64(in.a) >= uint64(len(p.functions)) {
			c.refuse("", "function %d is not there", in.a)
			return
		}
		b.callees = append(b.callees, in.a)
		s.call(p.types[p.functions[in.a]])
	case opCallIndirect:
		if uint64(in.a) >= uint64(len(p.types)) {
			c.refuse("", "type %d is not there", in.a)
			return
		}
		b.indirect = append(b.indirect, in.a)
		s.height--
		s.call(p.types[in.a])
	case opLocalGet, opLocalSet, opLocalTee:
		if uint64(in.a) >= uint64(b.locals) {
			c.refuse("", "local %d is not there", in.a)
			return
		}
		if in.op != opLocalGet {
			s.mark()
		}
	case opGlobalGet, opGlobalSet:
		if uint64(in.a) >= uint64(len(p.globals)) {
			c.refuse("", "global %d is not there", in.a)
		}
	case opTableSet:
		p.changesTables = true
	case opRefFunc:
		if uint64(in.a) >= uint64(len(p.functions)) {
			c.refuse("", "function %d is not there", in.a)
			return
		}
		p.refer(in.a)
	case opExtended:
		s.height += int(extendedGrow[in.sub])
		s.extended()
	case opVector:
		s.height += int(vectorGrow[in.sub])
	}
	// In code that is never reached, and in code that is not valid.
	if n := len(s.open); n > 0 {
		s.height = max(s.height, s.open[n-1].base)
	}
}

func (s *scan) extended() {
	switch s.in.sub {
	case subMemoryInit, subMemoryCopy, subMemoryFill:
		s.b.bulk = true
		s.block(4)
	case subTableInit, subTableCopy, subTableGrow, subTableFill:
		s.b.bulk, s.p.changesTables = true, true
		s.p.growsTables = s.p.growsTables || s.in.sub == subTableGrow
		s.block(4)
	case subDataDrop, subElemDrop:
		s.p.dropsSegments = true
	}
}

func (s *scan) call(t Signature) {
	s.height += len(t.Results) - len(t.Params)
	s.values += len(t.Results)
	s.outgoing = max(s.outgoing, len(t.Params)+len(t.Results))
}

// start opens the block of the current instruction.
func (s *scan) start() {
	p, c, in := s.p, s.c, &s.in
	o := open{op: in.op}
	switch {
	case in.result >= int64(len(p.types)):
		c.refuse("", "block type %d is not there", in.result)
		return
	case in.result >= 0:
		t := p.types[in.result]
		o.params, o.results = len(t.Params), len(t.Results)
	case in.result != blockNone:
		o.results = 1
	}
	switch in.op {
	case opIf:
		s.height--
		s.block(1)
	case opLoop:
		if s.loops++; s.loops > p.limits.Loops {
			c.refuse(fixLimit, "more than %d loops in each other", p.limits.Loops)
		}
		p.largest.Loops = max(p.largest.Loops, s.loops)
		s.b.loops = true
		s.block(3) // with what is added at its head
	}
	s.block(1)
	s.values += o.params + o.results
	o.base = s.height - o.params
	if len(s.open) > p.limits.Nesting {
		c.refuse(fixLimit, "more than %d blocks in each other", p.limits.Nesting)
		return
	}
	p.largest.Nesting = max(p.largest.Nesting, len(s.open))
	s.enter(o)
}

func (s *scan) enter(o open) {
	s.open = append(s.open, o)
	for range s.words {
		s.marks = append(s.marks, 0)
	}
}

// leave closes the innermost block.
func (s *scan) leave() {
	top := s.open[len(s.open)-1]
	s.open = s.open[:len(s.open)-1]
	s.marks = s.marks[:len(s.open)*s.words]
	if top.op == opLoop {
		s.loops--
	}
	s.height = top.base + top.results
}

// never says that what follows is not reached.
func (s *scan) never() { s.height = s.open[len(s.open)-1].base }

// block counts n basic blocks that begin here. The compiler's time grows with
// what lives across them; a block by itself is as much as a hundredth of a value.
func (s *scan) block(n int) {
	s.blocks += n
	s.joins += n * (s.b.locals + s.height + s.blocks/100)
	if s.joins > s.p.limits.Joins {
		s.c.refuse(fixLimit, "its blocks and the values that live across them take the compiler more than %d joins", s.p.limits.Joins)
	}
}

func (s *scan) label(l uint32) {
	if uint64(l) >= uint64(len(s.open)) {
		s.c.refuse("", "label %d is not there", l)
	}
}

// mark notes in all open blocks that the local of the current instruction is set
// in them. A block that knows has told those around it.
func (s *scan) mark() {
	word, bit := int(s.in.a/64), uint64(1)<<(s.in.a%64)
	for at := (len(s.open)-1)*s.words + word; at >= 0; at -= s.words {
		if s.marks[at]&bit != 0 {
			break
		}
		s.marks[at] |= bit
		s.merges++
	}
	if s.merges > s.p.limits.Merges {
		s.c.refuse(fixLimit, "its blocks change more than %d locals", s.p.limits.Merges)
	}
}
