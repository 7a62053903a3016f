package rewrite

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// The specification's own tests, as wazero's module carries them: each program
// has to do the same with and without the rewriter, and what is not valid must
// not become so.

type specFile struct {
	Commands []specCommand `json:"commands"`
}

type specCommand struct {
	Type       string     `json:"type"`
	Line       int        `json:"line"`
	Name       string     `json:"name"`
	As         string     `json:"as"`
	Filename   string     `json:"filename"`
	ModuleType string     `json:"module_type"`
	Action     specAction `json:"action"`
}

type specAction struct {
	Type   string      `json:"type"`
	Module string      `json:"module"`
	Field  string      `json:"field"`
	Args   []specValue `json:"args"`
}

type specValue struct {
	Type     string          `json:"type"`
	LaneType string          `json:"lane_type"`
	Value    json.RawMessage `json:"value"`
}

// words returns the value as wazero takes it: a v128 as two numbers.
func (v specValue) words() []uint64 {
	number := func(s string, bits int) uint64 {
		switch s {
		case "nan:canonical", "nan:arithmetic":
			return map[int]uint64{32: 0x7fc00000, 64: 0x7ff8000000000000}[bits]
		}
		n, _ := strconv.ParseUint(strings.TrimPrefix(s, "-"), 10, 64)
		return n
	}
	if v.Type != "v128" {
		var s string
		_ = json.Unmarshal(v.Value, &s)
		return []uint64{number(s, 64)}
	}
	var lanes []string
	_ = json.Unmarshal(v.Value, &lanes)
	bits := 128 / len(lanes)
	words := make([]uint64, 2)
	for i, lane := range lanes {
		words[i*bits/64] |= number(lane, bits) << (i * bits % 64)
	}
	return words
}

// specHost is the module "spectest" that the tests import from.
func specHost() []byte {
	var functions, code [][]byte
	var exports [][]byte
	types := [][]byte{sig("", ""), sig("i", ""), sig("l", ""), sig("f", ""), sig("d", ""), sig("if", ""), sig("dd", "")}
	for i, name := range []string{"print", "print_i32", "print_i64", "print_f32", "print_f64", "print_i32_f32", "print_f64_f64"} {
		functions = append(functions, []byte{byte(i)})
		code = append(code, fn(0))
		exports = append(exports, exp(name, Function, byte(i)))
	}
	exports = append(exports, exp("table", Table, 0), exp("memory", Memory, 0))
	for i, name := range []string{"global_i32", "global_i64", "global_f32", "global_f64"} {
		exports = append(exports, exp(name, Global, byte(i)))
	}
	return module(
		sec(secType, types...), sec(secFunction, functions...),
		sec(secTable, []byte{0x70, 1, 10, 20}), sec(secMemory, []byte{1, 1, 2}),
		sec(secGlobal, []byte{0x7f, 0, 0x41, 0x9a, 0x05, 0x0b}, []byte{0x7e, 0, 0x42, 0x9a, 0x05, 0x0b},
			append([]byte{0x7d, 0, 0x43}, 0, 0x80, 0x26, 0x44, 0x0b), append([]byte{0x7c, 0, 0x44}, 0, 0, 0, 0, 0, 0xd0, 0x84, 0x40, 0x0b)),
		sec(secExport, exports...), sec(secCode, code...))
}

// side is one of the two: all modules as they are, or all instrumented.
type side struct {
	ctx        context.Context
	runtime    wazero.Runtime
	byName     map[string]api.Module
	last       api.Module
	instrument bool
}

func newSide(t *testing.T, instrumented bool) *side {
	t.Helper()
	s := &side{ctx: context.Background(), byName: map[string]api.Module{}, instrument: instrumented}
	s.runtime = wazero.NewRuntime(s.ctx)
	_, err := s.runtime.InstantiateWithConfig(s.ctx, specHost(), wazero.NewModuleConfig().WithName("spectest"))
	if err == nil {
		_, err = s.runtime.NewHostModuleBuilder(yieldModule).NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, m api.Module, _ []uint64) {
			m.ExportedGlobal(FuelExport).(api.MutableGlobal).Set(slice)
		}), nil, nil).Export(yieldName).Instantiate(s.ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *side) load(wasm []byte, name string) error {
	m, err := s.runtime.InstantiateWithConfig(s.ctx, wasm, wazero.NewModuleConfig().WithName(name).WithStartFunctions())
	if err != nil {
		return err
	}
	s.last = m
	return nil
}

func (s *side) run(a specAction) ([]uint64, error) {
	m := s.last
	if a.Module != "" {
		m = s.byName[a.Module]
	}
	if a.Type == "get" {
		return []uint64{m.ExportedGlobal(a.Field).Get()}, nil
	}
	var args []uint64
	for _, v := range a.Args {
		args = append(args, v.words()...)
	}
	return m.ExportedFunction(a.Field).Call(s.ctx, args...)
}

func specFolder(t *testing.T, version string) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		t.Fatalf("where is the module of wazero: %v", err)
	}
	return filepath.Join(strings.TrimSpace(string(dir)), "internal", "integration_test", "spectest", version, "testdata")
}

func TestSpecification(t *testing.T) {
	options := Options{Fuel: true, Depth: true, Globals: true, MaxStack: 1 << 20, Limits: Limits{Name: 1 << 20, Nesting: 1 << 20, Locals: 100_000, Table: 1 << 30, Targets: 1 << 20, Pages: 1 << 16}}
	for _, version := range []string{"v1", "v2"} {
		folder := specFolder(t, version)
		files, _ := filepath.Glob(filepath.Join(folder, "*.json"))
		if len(files) == 0 {
			t.Fatalf("no tests in %s", folder)
		}
		done := map[string]int{}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var spec specFile
			if err := json.Unmarshal(text, &spec); err != nil {
				t.Fatal(err)
			}
			runSpec(t, version+"/"+filepath.Base(file), folder, spec, options, done)
		}
		t.Logf("%s: %v", version, done)
		if done["module"] < 700 || done["assert_return"] < 15_000 || done["assert_invalid"] < 900 {
			t.Errorf("%s: only %v", version, done)
		}
	}
}

// stricter is what is refused although the specification allows it, and why.
var stricter = map[string]string{
	"v2/binary-leb128.json:969": "instruction 0xfc 0x80 is unknown", // a number spelled longer than it is: see cursor.read
}

func runSpec(t *testing.T, name, folder string, spec specFile, o Options, done map[string]int) {
	t.Helper()
	plain, ours := newSide(t, false), newSide(t, true)
	defer plain.runtime.Close(plain.ctx)
	defer ours.runtime.Close(ours.ctx)
	loaded := false
	read := func(c specCommand) []byte {
		wasm, err := os.ReadFile(filepath.Join(folder, c.Filename))
		if err != nil {
			t.Fatal(err)
		}
		return wasm
	}
	register := map[string]string{} // name of a module → the name it is registered under later
	for i, c := range spec.Commands {
		if c.Type == "register" {
			key := c.Name
			for j := i - 1; key == "" && j >= 0; j-- {
				if spec.Commands[j].Type == "module" {
					key = "line " + strconv.Itoa(spec.Commands[j].Line)
				}
			}
			register[key] = c.As
		}
	}
	for _, c := range spec.Commands {
		where := name + ":" + strconv.Itoa(c.Line)
		switch c.Type {
		case "module":
			wasm := read(c)
			out, err := Instrument(wasm, o)
			if err != nil {
				if !strings.Contains(err.Error(), stricter[where]) || stricter[where] == "" {
					t.Errorf("%s: %v", where, err)
				}
				loaded = false
				continue
			}
			as := register[c.Name]
			if c.Name == "" {
				as = register["line "+strconv.Itoa(c.Line)]
			}
			err = plain.load(wasm, as)
			err2 := ours.load(out, as)
			if (err == nil) != (err2 == nil) {
				t.Errorf("%s: plain: %v, instrumented: %v", where, err, err2)
			}
			if loaded = err == nil && err2 == nil; loaded && c.Name != "" {
				plain.byName[c.Name], ours.byName[c.Name] = plain.last, ours.last
			}
		case "assert_return", "assert_trap", "action":
			if !loaded || c.Action.Type == "" {
				continue
			}
			want, err := plain.run(c.Action)
			got, err2 := ours.run(c.Action)
			if (err == nil) != (err2 == nil) || err != nil && firstLine(err) != firstLine(err2) {
				t.Errorf("%s: plain: %v, instrumented: %v", where, err, err2)
			}
			// A reference is an address, and differs.
			if !slices.Equal(want, got) && !strings.Contains(name, "ref") && !strings.Contains(name, "table") {
				t.Errorf("%s: plain: %x, instrumented: %x", where, want, got)
			}
		case "assert_exhaustion":
			if !loaded {
				continue
			}
			if _, err := ours.run(c.Action); err == nil || !strings.Contains(err.Error(), "unreachable") {
				t.Errorf("%s: %v", where, err)
			}
		case "assert_invalid", "assert_malformed", "assert_unlinkable", "assert_uninstantiable":
			if c.ModuleType == "text" {
				continue
			}
			wasm := read(c)
			out, err := Instrument(wasm, o)
			if err != nil {
				break
			}
			first, err := plain.runtime.CompileModule(plain.ctx, wasm)
			if err == nil {
				first.Close(plain.ctx)
			}
			second, err2 := ours.runtime.CompileModule(ours.ctx, out)
			if err2 == nil {
				second.Close(ours.ctx)
			}
			// Custom sections are not carried over, so what is wrong in them is cured.
			if (err == nil) != (err2 == nil) && !strings.Contains(name, "custom") {
				t.Errorf("%s: plain: %v, instrumented: %v", where, err, err2)
			}
		default:
			continue
		}
		done[c.Type]++
	}
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
