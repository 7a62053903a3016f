package rewrite

// constant reads a constant expression. Indices of functions are handed to shift,
// when there is one: where they stand, and what they are.
func (p *parsed) constant(c *cursor, shift func(from, to int, f uint32)) {
	// One value, one end: what is longer is no valid constant of this version.
	for range 2 {
		switch op := c.byte(); op {
		case 0x0b:
			return
		case 0x41:
			c.signed(32)
		case 0x42:
			c.signed(64)
		case 0x43:
			c.bytes(4)
		case 0x44:
			c.bytes(8)
		case 0x23:
			if g := c.u32(); uint64(g) >= uint64(len(p.globals)) {
				c.refuse("", "global %d is not there", g)
			}
		case 0xd0:
			valueType(c)
		case 0xd2:
			from := c.at
			f := p.function(c)
			if c.err == nil {
				p.refer(f)
				if shift != nil {
					shift(from, c.at, f)
				}
			}
		case 0xfd:
			if sub := c.u32(); sub != 12 {
				c.refuse("", "vector instruction %d in a constant", sub)
			}
			c.bytes(16)
		case 0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e:
			c.refuse(fixConst, "it computes in a constant (extended constant expressions)")
		default:
			c.refuse("", "instruction 0x%02x in a constant", op)
		}
		if c.err != nil {
			return
		}
	}
	c.refuse(fixConst, "a constant of more than one instruction")
}

// refer notes that a reference to f exists, so that call_indirect may reach it.
func (p *parsed) refer(f uint32) {
	if p.referenced == nil {
		p.referenced = make([]bool, len(p.functions))
	}
	p.referenced[f] = true
}

// elementSection reads all segments; shift as in constant.
func (p *parsed) elementSection(c *cursor, shift func(from, to int, f uint32)) {
	for n := c.count("element segments", 3, p.limits.Segments); n > 0 && c.err == nil; n-- {
		// The form: bit 0 = not active, bit 1 = a table index or, if not active,
		// declarative; bit 2 = expressions instead of indices.
		form := c.u32()
		if form > 7 {
			c.refuse("", "element segments of form %d are unknown", form)
			return
		}
		active, explicit, expressions := form&1 == 0, form&2 != 0, form&4 != 0
		if active {
			table := uint32(0)
			if explicit {
				table = c.u32()
			}
			if uint64(table) >= uint64(len(p.tables)) {
				c.refuse("", "table %d is not there", table)
			}
			p.constant(c, shift)
		}
		if !active || explicit {
			if expressions {
				valueType(c)
			} else if kind := c.byte(); kind != 0 {
				c.refuse("", "element kind %d is unknown", kind)
			}
		}
		size := 1
		if expressions {
			size = 2
		}
		// Bounded by the bytes that are there; wazero takes 16 bytes an entry.
		for m := c.count("entries of an element segment", size, p.limits.Module); m > 0 && c.err == nil; m-- {
			if expressions {
				p.constant(c, shift)
				continue
			}
			from := c.at
			if f := p.function(c); c.err == nil {
				p.refer(f)
				if shift != nil {
					shift(from, c.at, f)
				}
			}
		}
	}
}

func (p *parsed) dataSection(c *cursor) {
	n := c.count("data segments", 2, p.limits.Segments)
	if p.dataCount >= 0 && p.dataCount != n && c.err == nil {
		c.refuse("", "%d data segments, the data count section says %d", n, p.dataCount)
	}
	for ; n > 0 && c.err == nil; n-- {
		form := c.u32()
		if form == 2 {
			if memory := c.u32(); memory != 0 {
				c.refuse(fixMemories, "a data segment for memory %d", memory)
			}
		}
		switch form {
		case 0, 2:
			if !p.hasMemory {
				c.refuse("", "a data segment, but no memory")
			}
			p.constant(c, nil)
		case 1:
		default:
			c.refuse("", "data segments of form %d are unknown", form)
		}
		c.bytes(int(c.u32()))
	}
}
