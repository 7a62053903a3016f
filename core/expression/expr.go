package expression

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
)

// Arguments is the variable that holds all arguments, also those that no schema
// declares. An argument of that name hides it.
const Arguments = "args"

// stepper is the function that every round of a predicate calls first.
const stepper = "__step"

// Expr is a compiled expr expression, safe for concurrent use.
type Expr struct {
	program *vm.Program
	source  string
	names   []string // variables that it reads
	all     bool     // reads Arguments
	loops   bool     // has predicates
}

// Compile compiles an expr expression over the arguments of names; any other
// variable but Arguments is a mistake. nil names allow every variable. The error is
// a *SyntaxError.
func Compile(source string, names []string) (*Expr, error) {
	if len(source) > MaxSource {
		return nil, &SyntaxError{Message: fmt.Sprintf("the expression is longer than %d bytes", MaxSource)}
	}
	tree, err := parser.Parse(source)
	if err != nil {
		return nil, syntax(err)
	}
	e := &Expr{source: source}
	read := &reading{local: map[string]bool{}}
	ast.Walk(&tree.Node, read)
	e.loops = read.loops
	if read.environment != nil {
		return nil, at(source, read.environment.Location().From, "$env is not available; write "+Arguments)
	}
	environment := types.Map{Arguments: types.Any, stepper: types.TypeOf(func() bool { return true })}
	for _, name := range names {
		environment[name] = types.Any
	}
	for _, name := range read.names {
		if read.local[name] {
			continue
		}
		if name == Arguments && !slices.Contains(names, name) {
			e.all = true
			continue
		}
		if names == nil {
			environment[name] = types.Any
		}
		if environment[name] != nil {
			e.names = append(e.names, name)
		}
	}
	options := []expr.Option{
		expr.Env(environment), expr.MaxNodes(maxNodes), expr.Patch(counting{}),
		// The functions of expr that can take time or memory beyond the budget.
		expr.DisableBuiltin("repeat"), expr.Function("repeat", repeat, strings.Repeat),
		expr.DisableBuiltin("replace"), expr.Function("replace", replace, strings.ReplaceAll, strings.Replace),
		expr.DisableBuiltin("uniq"), expr.Function("uniq", uniq, new(func([]any) []any), new(func(any) []any)),
	}
	if e.program, err = expr.Compile(source, options...); err != nil {
		return nil, syntax(err)
	}
	return e, nil
}

// Source returns the expression as written.
func (e *Expr) Source() string { return e.source }

// Names returns the arguments that the expression reads by name, and whether it
// reads all of them.
func (e *Expr) Names() (names []string, all bool) { return e.names, e.all }

var machines = sync.Pool{New: func() any { return &vm.VM{MemoryBudget: MaxMemory} }}

// Run returns the value for arguments as wire.Decode gives them. A number becomes
// an int or a float64; an integer beyond 64 bits stays a json.Number, which can be
// passed on but not computed with. An absent argument is nil. ErrSteps or
// ErrMemory tell that a bound was met; any other error has the text of expr.
func (e *Expr) Run(arguments map[string]any) (any, error) {
	environment := make(map[string]any, len(e.names)+2)
	for _, name := range e.names {
		environment[name] = plain(arguments[name])
	}
	if e.all {
		environment[Arguments] = plain(arguments)
	}
	if e.loops {
		steps := 0
		environment[stepper] = func() bool {
			if steps++; steps > MaxSteps {
				panic(ErrSteps)
			}
			return true
		}
	}
	machine := machines.Get().(*vm.VM)
	value, err := machine.Run(e.program, environment)
	clear(machine.Stack[:cap(machine.Stack)]) // do not keep the arguments of others alive
	clear(machine.Variables)
	machines.Put(machine)
	if err != nil {
		return nil, failure(err)
	}
	return value, nil
}

// Test is Run for a guard: anything but true or false is an error.
func (e *Expr) Test(arguments map[string]any) (bool, error) {
	value, err := e.Run(arguments)
	if err != nil {
		return false, err
	}
	ok, isBool := value.(bool)
	if !isBool {
		return false, errors.New("the expression gives neither true nor false")
	}
	return ok, nil
}

// plain turns numbers into what expr computes with. It copies what it changes.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		text := string(v)
		if i, err := strconv.Atoi(text); err == nil {
			return i
		}
		if !strings.ContainsAny(text, ".eE") {
			return v
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
		return v
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plain(v[i])
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(v))
		for name, value := range v {
			object[name] = plain(value)
		}
		return object
	}
	return v
}

// reading collects what an expression reads.
type reading struct {
	names       []string
	local       map[string]bool // let variables
	loops       bool
	environment *ast.IdentifierNode
}

// Visit takes note of one node.
func (r *reading) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		if n.Value == "$env" {
			r.environment = n
		} else if !slices.Contains(r.names, n.Value) {
			r.names = append(r.names, n.Value)
		}
	case *ast.VariableDeclaratorNode:
		r.local[n.Name] = true
	case *ast.PredicateNode:
		r.loops = true
	}
}

// counting makes every round of a predicate call the stepper first: the memory
// budget of expr does not see a loop that keeps nothing.
type counting struct{}

// Visit wraps the body of a predicate.
func (counting) Visit(node *ast.Node) {
	predicate, ok := (*node).(*ast.PredicateNode)
	if !ok {
		return
	}
	if done, ok := predicate.Node.(*ast.ConditionalNode); ok {
		if call, ok := done.Cond.(*ast.CallNode); ok {
			if name, ok := call.Callee.(*ast.IdentifierNode); ok && name.Value == stepper {
				return // patched in an earlier pass
			}
		}
	}
	predicate.Node = &ast.ConditionalNode{
		Cond: &ast.CallNode{Callee: &ast.IdentifierNode{Value: stepper}},
		Exp1: predicate.Node,
		Exp2: &ast.NilNode{},
	}
}

func repeat(params ...any) (any, error) {
	text, count := params[0].(string), reflect.ValueOf(params[1])
	if !count.CanInt() || count.Int() < 0 {
		return nil, errors.New("repeat wants a count that is not negative")
	}
	if n := count.Int(); n > MaxMemory || int64(len(text))*n > MaxMemory {
		return nil, ErrMemory
	}
	return strings.Repeat(text, int(count.Int())), nil
}

func replace(params ...any) (any, error) {
	text, old, with, limit := params[0].(string), params[1].(string), params[2].(string), -1
	if len(params) > 3 {
		limit = params[3].(int)
	}
	times := strings.Count(text, old)
	if limit >= 0 {
		times = min(times, limit)
	}
	if len(text)+times*len(with) > max(MaxMemory, len(text)) {
		return nil, ErrMemory
	}
	return strings.Replace(text, old, with, limit), nil
}

// uniq keeps the first of equal elements: linear, where that of expr is quadratic.
func uniq(params ...any) (any, error) {
	list := reflect.ValueOf(params[0])
	if list.Kind() != reflect.Slice && list.Kind() != reflect.Array {
		return nil, errors.New("uniq wants an array")
	}
	seen, out := map[string]bool{}, []any{}
	for i := range list.Len() {
		element := list.Index(i).Interface()
		key, err := AppendJSON(nil, element, MaxOutput)
		if err != nil {
			return nil, err
		}
		if !seen[string(key)] {
			seen[string(key)] = true
			out = append(out, element)
		}
	}
	return out, nil
}

func syntax(err error) error {
	var place *file.Error
	if !errors.As(err, &place) {
		return &SyntaxError{Message: err.Error()}
	}
	return &SyntaxError{Line: place.Line, Column: place.Column + 1, Message: place.Message}
}

func failure(err error) error {
	switch {
	case errors.Is(err, ErrSteps):
		return ErrSteps
	case errors.Is(err, ErrMemory) || strings.Contains(err.Error(), "memory budget exceeded"):
		return ErrMemory
	}
	var place *file.Error
	if errors.As(err, &place) {
		return &SyntaxError{Line: place.Line, Column: place.Column + 1, Message: place.Message}
	}
	return err
}
