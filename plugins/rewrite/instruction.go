package rewrite

// form says what follows an opcode.
type form byte

const (
	unknown  form = iota
	plain         // nothing
	block         // a block type
	index         // one u32
	indirect      // type, table
	branches      // br_table
	typed         // select: a vector of one value type
	address       // alignment, offset
	zero          // one byte 0
	int32s        // signed 32
	int64s        // signed 64
	four          // 4 bytes
	eight         // 8 bytes
	refType       // a reference type
	extended      // 0xfc
	vector        // 0xfd
)

// Opcodes that the rewriter speaks of.
const (
	opUnreachable  = 0x00
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opTableGet     = 0x25
	opTableSet     = 0x26
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI32Eqz       = 0x45
	opI32LtS       = 0x48
	opI32Add       = 0x6a
	opI32Sub       = 0x6b
	opI32ShrU      = 0x76
	opRefFunc      = 0xd2
	opExtended     = 0xfc
	opVector       = 0xfd
	blockEmpty     = 0x40
	blockNone      = -64 // blockEmpty as a signed number
)

// Instructions after 0xfc.
const (
	subMemoryInit = 8
	subDataDrop   = 9
	subMemoryCopy = 10
	subMemoryFill = 11
	subTableInit  = 12
	subElemDrop   = 13
	subTableCopy  = 14
	subTableGrow  = 15
	subTableSize  = 16
	subTableFill  = 17
)

// opcode is what the reader knows of one opcode.
type opcode struct {
	form form
	cost uint8 // in cheap instructions; 0 for what compiles to nothing
	push uint8 // values it makes
	grow int8  // change of the height of the operand stack; calls and blocks count by themselves
}

var opcodes = func() (t [256]opcode) {
	set := func(from, to int, o opcode) {
		for i := from; i <= to; i++ {
			t[i] = o
		}
	}
	set(0x00, 0x00, opcode{plain, 1, 0, 0})
	set(0x01, 0x01, opcode{plain, 0, 0, 0})
	set(0x02, 0x04, opcode{block, 1, 0, 0})
	set(0x05, 0x05, opcode{plain, 1, 0, 0})
	set(0x0b, 0x0b, opcode{plain, 0, 0, 0})
	set(0x0c, 0x0c, opcode{index, 1, 0, 0})
	set(0x0d, 0x0d, opcode{index, 1, 0, -1})
	set(0x0e, 0x0e, opcode{branches, 4, 0, -1})
	set(0x0f, 0x0f, opcode{plain, 1, 0, 0})
	set(0x10, 0x10, opcode{index, 4, 0, 0})
	set(0x11, 0x11, opcode{indirect, 8, 0, 0})
	set(0x1a, 0x1a, opcode{plain, 0, 0, -1})
	set(0x1b, 0x1b, opcode{plain, 1, 1, -2})
	set(0x1c, 0x1c, opcode{typed, 1, 1, -2})
	set(0x20, 0x20, opcode{index, 1, 0, 1})
	set(0x21, 0x21, opcode{index, 1, 0, -1})
	set(0x22, 0x22, opcode{index, 1, 0, 0})
	set(0x23, 0x23, opcode{index, 1, 1, 1})
	set(0x24, 0x24, opcode{index, 1, 0, -1})
	set(0x25, 0x25, opcode{index, 2, 1, 0})
	set(0x26, 0x26, opcode{index, 2, 0, -2})
	set(0x28, 0x35, opcode{address, 2, 1, 0})
	set(0x36, 0x3e, opcode{address, 2, 0, -2})
	set(0x3f, 0x3f, opcode{zero, 1, 1, 1})
	set(0x40, 0x40, opcode{zero, 64, 1, 0})
	set(0x41, 0x41, opcode{int32s, 1, 1, 1})
	set(0x42, 0x42, opcode{int64s, 1, 1, 1})
	set(0x43, 0x43, opcode{four, 1, 1, 1})
	set(0x44, 0x44, opcode{eight, 1, 1, 1})
	set(0x45, 0xc4, opcode{plain, 1, 1, -1})
	set(0x6d, 0x70, opcode{plain, 8, 1, -1})  // i32.div, rem
	set(0x7f, 0x82, opcode{plain, 16, 1, -1}) // i64.div, rem
	set(0x91, 0x91, opcode{plain, 8, 1, 0})   // f32.sqrt
	set(0x95, 0x95, opcode{plain, 4, 1, -1})  // f32.div
	set(0x9f, 0x9f, opcode{plain, 8, 1, 0})   // f64.sqrt
	set(0xa3, 0xa3, opcode{plain, 4, 1, -1})  // f64.div
	set(0xa8, 0xb1, opcode{plain, 4, 1, 0})   // truncations
	for _, unary := range [][2]int{{0x45, 0x45}, {0x50, 0x50}, {0x67, 0x69}, {0x79, 0x7b}, {0x8b, 0x91}, {0x99, 0x9f}, {0xa7, 0xc4}} {
		for i := unary[0]; i <= unary[1]; i++ {
			t[i].grow = 0
		}
	}
	set(0xd0, 0xd0, opcode{refType, 1, 1, 1})
	set(0xd1, 0xd1, opcode{plain, 1, 1, 0})
	set(0xd2, 0xd2, opcode{index, 1, 1, 1})
	set(0xfc, 0xfc, opcode{extended, 8, 1, 0})
	set(0xfd, 0xfd, opcode{vector, 4, 2, 0})
	return t
}()

// extendedGrow is the change of height of the instructions after 0xfc.
var extendedGrow = [subTableFill + 1]int8{subMemoryInit: -3, subMemoryCopy: -3, subMemoryFill: -3, subTableInit: -3, subTableCopy: -3, subTableGrow: -1, subTableSize: 1, subTableFill: -3}

// vectorGrow is the change of height of the instructions after 0xfd: most take
// two values and make one.
var vectorGrow = func() (t [256]int8) {
	for i := range t {
		t[i] = -1
	}
	for _, same := range [][2]int{
		{0, 10},
		{15, 22},
		{24, 25},
		{27, 27},
		{29, 29},
		{31, 31},
		{33, 33},
		{77, 77},
		{83, 83},
		{92, 100},
		{103, 106},
		{116, 117},
		{122, 122},
		{124, 129},
		{131, 132},
		{135, 138},
		{148, 148},
		{160, 161},
		{163, 164},
		{167, 170},
		{192, 193},
		{195, 196},
		{199, 202},
		{224, 225},
		{227, 227},
		{236, 237},
		{239, 239},
		{248, 255},
	} {
		for i := same[0]; i <= same[1]; i++ {
			t[i] = 0
		}
	}
	t[11], t[12], t[82] = -2, 1, -2
	for i := 88; i <= 91; i++ {
		t[i] = -2
	}
	return t
}()

// instruction is one decoded instruction. a and b are its numbers: an index, a
// block type, the form of a block.
type instruction struct {
	at      int // its first byte
	op      byte
	sub     uint32 // after 0xfc, 0xfd
	a, b    uint32
	result  int64    // block type: >= 0 a type index, -64 none, else one value
	targets []uint32 // br_table, the default last; valid until the next read
}

// read decodes the next instruction. What it accepts has one reading only: wazero
// takes the number after 0xfd from one byte, so that a longer spelling of it could
// hide code from this reader.
func (c *cursor) read(in *instruction) {
	in.at = c.at
	in.op = c.byte()
	switch opcodes[in.op].form {
	case plain:
	case index:
		in.a = c.u32()
	case block:
		in.result = c.signed(33)
	case address:
		c.address()
	case int32s:
		c.signed(32)
	case int64s:
		c.signed(64)
	case four:
		c.bytes(4)
	case eight:
		c.bytes(8)
	case zero:
		c.memoryZero()
	case indirect:
		in.a, in.b = c.u32(), c.u32()
	case branches:
		c.branches(in)
	case typed:
		if n := c.byte(); n != 1 && c.err == nil {
			c.refuse("", "select with %d types", n)
		}
		valueType(c)
	case refType:
		if t := valueType(c); c.err == nil && t != FuncRef && t != ExternRef {
			c.refuse("", "ref.null of %s", t)
		}
	case extended:
		c.extended(in)
	case vector:
		c.vector(in)
	default:
		c.unknown(in.op)
	}
}

func (c *cursor) unknown(op byte) {
	if c.err != nil {
		return
	}
	c.at--
	switch {
	case op >= 0x06 && op <= 0x0a || op >= 0x18 && op <= 0x19 || op == 0x1f:
		c.refuse(fixExceptions, "instruction 0x%02x: WASM exceptions", op)
	case op == 0x12 || op == 0x13:
		c.refuse(fixTailCalls, "instruction 0x%02x: a tail call", op)
	case op == 0x14 || op == 0x15 || op >= 0xd3 && op <= 0xd6 || op == 0xfb:
		c.refuse(fixGC, "instruction 0x%02x of the GC proposal", op)
	case op == 0xfe:
		c.refuse(fixThreads, "an atomic instruction")
	default:
		c.refuse("", "instruction 0x%02x is unknown", op)
	}
}

func (c *cursor) address() {
	if align := c.u32(); align >= 32 {
		c.refuse(fixMemories, "an alignment of 2^%d, or another memory", align)
	}
	c.u32()
}

func (c *cursor) memoryZero() {
	if m := c.byte(); m != 0 {
		c.refuse(fixMemories, "an instruction for memory %d", m)
	}
}

func (c *cursor) branches(in *instruction) {
	n := c.count("targets of a br_table", 1, len(c.b))
	in.targets = in.targets[:0]
	for i := 0; i <= n && c.err == nil; i++ {
		in.targets = append(in.targets, c.u32())
	}
}

func (c *cursor) extended(in *instruction) {
	in.sub = uint32(c.byte())
	switch in.sub {
	case 0, 1, 2, 3, 4, 5, 6, 7:
	case subMemoryInit:
		in.a = c.u32()
		c.memoryZero()
	case subMemoryCopy:
		c.memoryZero()
		c.memoryZero()
	case subMemoryFill:
		c.memoryZero()
	case subDataDrop, subElemDrop, subTableGrow, subTableSize, subTableFill:
		in.a = c.u32()
	case subTableInit, subTableCopy:
		in.a, in.b = c.u32(), c.u32()
	default:
		c.refuse("", "instruction 0xfc 0x%02x is unknown", in.sub)
	}
}

func (c *cursor) vector(in *instruction) {
	first := c.byte()
	in.sub = uint32(first)
	if first >= 0x80 {
		switch second := c.byte(); {
		case second > 1 && second < 0x80:
			c.refuse(fixRelaxed, "a relaxed SIMD instruction")
		case second != 1 && c.err == nil:
			c.refuse("", "the number of a vector instruction is spelled longer than it is")
		}
	}
	switch {
	case in.sub <= 11 || in.sub == 92 || in.sub == 93:
		c.address()
	case in.sub <= 13:
		c.bytes(16)
	case in.sub >= 21 && in.sub <= 34:
		c.byte()
	case in.sub >= 84 && in.sub <= 91:
		c.address()
		c.byte()
	}
}
