package rewrite

import "bytes"

// A small assembler: modules are written as the bytes that the test is about.

func module(sections ...[]byte) []byte {
	return append([]byte("\x00asm\x01\x00\x00\x00"), bytes.Join(sections, nil)...)
}

// sec is a section that is a vector of items.
func sec(id byte, items ...[]byte) []byte {
	return raw(id, append(appendU32(nil, uint32(len(items))), bytes.Join(items, nil)...))
}

func raw(id byte, content []byte) []byte {
	return append(appendU32([]byte{id}, uint32(len(content))), content...)
}

// fn is one entry of the code section: n locals of i32, instructions, the last end.
func fn(n int, code ...byte) []byte {
	body := []byte{0}
	if n > 0 {
		body = append(appendU32([]byte{1}, uint32(n)), byte(I32))
	}
	body = append(append(body, code...), opEnd)
	return append(appendU32(nil, uint32(len(body))), body...)
}

func sig(params string, results string) []byte {
	return encodeType(Signature{valueTypesOf(params), valueTypesOf(results)})
}

func valueTypesOf(s string) (types []Type) {
	for _, c := range s {
		types = append(types, map[rune]Type{'i': I32, 'l': I64, 'f': F32, 'd': F64, 'v': V128, 'F': FuncRef, 'E': ExternRef}[c])
	}
	return types
}

func exp(name string, kind Kind, index byte) []byte {
	return append(appendName(nil, name), byte(kind), index)
}

func imp(mod, name string, kind Kind, rest ...byte) []byte {
	return append(append(appendName(appendName(nil, mod), name), byte(kind)), rest...)
}

func custom(name, content string) []byte {
	return raw(secCustom, append(appendName(nil, name), content...))
}

func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func rep(n int, code ...byte) []byte { return bytes.Repeat(code, n) }

// function is a module with one exported function "f" and a page of memory.
func function(params, results string, locals int, code ...byte) []byte {
	return module(sec(secType, sig(params, results)), sec(secFunction, []byte{0}), sec(secMemory, []byte{0, 1}),
		sec(secExport, exp("f", Function, 0)), sec(secCode, fn(locals, code...)))
}
