package rewrite

// label is an open block while its function is written.
type label struct {
	op   byte
	cost int  // largest cost since fuel was last taken, over the branches to its end
	in   int  // of an if: the cost at its condition
	live bool // its end is reached at all
}

// pen writes one function.
type pen struct {
	*writer
	dst  []byte
	done int    // bytes of the file that are written
	temp uint32 // local that is free at any time
	turn uint32 // local that counts turns of loops
	cost int    // since fuel was last taken, on the costliest way here
	live bool   // this place is reached
}

// function appends the code of one function.
//
//	(charge)                     at entry, if the function is charged
//	stack -= frame; trap if < 0  if it is counted, around all that follows:
//	block (result …)
//	  … return → br …            a branch out of the function ends here, too
//	end
//	stack = what it was
func (w *writer) function(dst []byte, i int) []byte {
	p, b, plan := w.p, &w.p.bodies[i], w.plans[i]
	f := &pen{writer: w, dst: dst, done: b.code, live: true}
	fueled := plan.charge > 0
	extra := uint32(0)
	next := func() uint32 {
		extra++
		return uint32(b.locals) + extra - 1
	}
	if fueled || plan.stack > 0 {
		f.temp = next()
	}
	turns := fueled && b.loops
	if turns {
		f.turn = next()
	}
	f.dst = w.declare(f.dst, b, extra)

	if fueled {
		units := plan.charge
		if turns {
			units += loopEntry
		}
		f.charge(units)
	}
	if turns {
		f.constant(batch)
		f.indexed(opLocalSet, f.turn)
	}
	if plan.stack > 0 {
		f.indexed(opGlobalGet, w.stack)
		f.constant(plan.stack)
		f.op(opI32Sub)
		f.indexed(opLocalTee, f.temp)
		f.indexed(opGlobalSet, w.stack)
		f.indexed(opLocalGet, f.temp)
		f.constant(0)
		f.op(opI32LtS, opIf, blockEmpty, opUnreachable, opEnd)
		f.op(opBlock)
		f.blockType(p.types[p.functions[p.importedFunctions+i]].Results)
	}

	w.labels = append(w.labels[:0], label{op: opBlock})
	c := &cursor{b: p.wasm, at: b.code, end: b.to}
	in := &w.in
	for len(w.labels) > 0 {
		c.read(in)
		f.write(c, in, plan, fueled)
	}
	f.flush(c.at)
	if plan.stack > 0 {
		f.indexed(opGlobalGet, w.stack)
		f.constant(plan.stack)
		f.op(opI32Add)
		f.indexed(opGlobalSet, w.stack)
		f.op(opEnd)
	}
	return f.dst
}

// write carries one instruction over.
func (f *pen) write(c *cursor, in *instruction, plan plan, fueled bool) {
	w := f.writer
	cost := int(opcodes[in.op].cost)
	if in.op == opCall {
		if int(in.a) < w.p.importedFunctions {
			cost += 16
		} else {
			cost += w.plans[int(in.a)-w.p.importedFunctions].price
		}
	}
	if in.op == opCallIndirect {
		cost += smallCost
	}
	if fueled && f.live {
		if f.cost+cost > stretch && in.op != opEnd && in.op != opElse {
			f.flush(in.at)
			f.take(stretchUnits)
			f.cost = 0
		}
		f.cost += cost
	}
	switch in.op {
	case opBlock, opIf:
		w.labels = append(w.labels, label{op: in.op, in: f.cost})
	case opLoop:
		w.labels = append(w.labels, label{op: opLoop})
		if fueled {
			f.flush(c.at)
			f.count()
			f.cost = 0
		}
	case opElse:
		l := &w.labels[len(w.labels)-1]
		f.join(l)
		l.op = opElse
		f.cost, f.live = l.in, true
	case opEnd:
		l := w.labels[len(w.labels)-1]
		w.labels = w.labels[:len(w.labels)-1]
		if l.op == opIf {
			f.cost, f.live = max(f.cost, l.in), true
		}
		if l.live {
			f.cost, f.live = max(f.cost, l.cost), true
		}
	case opBr, opBrIf:
		f.join(f.label(in.a))
		f.live = f.live && in.op == opBrIf
	case opBrTable:
		for _, t := range in.targets {
			f.join(f.label(t))
		}
		f.live = false
	case opReturn:
		if plan.stack > 0 {
			f.flush(in.at)
			f.indexed(opBr, uint32(len(w.labels)-1))
			f.done = c.at
		}
		f.live = false
	case opUnreachable:
		f.live = false
	case opCall, opRefFunc:
		if to := w.shift(in.a); to != in.a {
			f.flush(in.at)
			f.indexed(in.op, to)
			f.done = c.at
		}
	case opExtended:
		if fueled {
			f.bulk(in)
		}
	}
}

// flush carries over what was read up to that place.
func (f *pen) flush(to int) {
	f.dst = append(f.dst, f.p.wasm[f.done:to]...)
	f.done = to
}

func (f *pen) label(l uint32) *label { return &f.labels[len(f.labels)-1-int(l)] }

// join notes that this place leads to the end of l. A branch to a loop leads to
// its head, where fuel is taken.
func (f *pen) join(l *label) {
	if f.live && l.op != opLoop {
		l.cost, l.live = max(l.cost, f.cost), true
	}
}

func (f *pen) op(b ...byte) { f.dst = append(f.dst, b...) }

func (f *pen) indexed(op byte, index uint32) { f.dst = appendU32(append(f.dst, op), index) }

func (f *pen) constant(v int) { f.dst = appendSigned(append(f.dst, opI32Const), int64(v)) }

func (f *pen) blockType(results []Type) {
	switch len(results) {
	case 0:
		f.op(blockEmpty)
	case 1:
		f.op(byte(results[0]))
	default:
		f.dst = appendSigned(f.dst, int64(f.typeIndex(Signature{Results: results})))
	}
}

// take takes units of fuel and does not look at what is left: the next call or
// turn of a loop does. A branch here would cost the compiler much where many
// values live.
func (f *pen) take(units int) {
	f.indexed(opGlobalGet, f.fuel)
	f.constant(units)
	f.op(opI32Sub)
	f.indexed(opGlobalSet, f.fuel)
}

// charge takes units of fuel, and yields when they are gone.
func (f *pen) charge(units int) {
	f.indexed(opGlobalGet, f.fuel)
	f.constant(units)
	f.spend()
}

// spend subtracts the top of the stack from the value below it, the fuel, and
// yields below zero.
func (f *pen) spend() {
	f.op(opI32Sub)
	f.indexed(opLocalTee, f.temp)
	f.indexed(opGlobalSet, f.fuel)
	f.indexed(opLocalGet, f.temp)
	f.constant(0)
	f.op(opI32LtS, opIf, blockEmpty)
	f.indexed(opCall, f.yield)
	f.op(opEnd)
}

// count counts a turn of a loop, and takes fuel for all of a batch.
func (f *pen) count() {
	f.indexed(opLocalGet, f.turn)
	f.constant(1)
	f.op(opI32Sub)
	f.indexed(opLocalTee, f.turn)
	f.op(opI32Eqz, opIf, blockEmpty)
	f.constant(batch)
	f.indexed(opLocalSet, f.turn)
	f.charge(batch)
	f.op(opEnd)
}

// bulk takes fuel by the length on top of the stack: one unit for 64 bytes of
// memory or 8 entries of a table.
func (f *pen) bulk(in *instruction) {
	var shift int
	switch in.sub {
	case subMemoryInit, subMemoryCopy, subMemoryFill:
		shift = 6
	case subTableInit, subTableCopy, subTableGrow, subTableFill:
		shift = 3
	default:
		return
	}
	f.flush(in.at)
	f.indexed(opLocalTee, f.temp)
	f.indexed(opGlobalGet, f.fuel)
	f.indexed(opLocalGet, f.temp)
	f.constant(shift)
	f.op(opI32ShrU)
	f.spend()
}
