// Package expression runs the two languages in which documents compute: expr for
// guards and request values, jq for reshaping answers. Both are compiled when the
// Catalog is built and bounded when they run.
//
//	document ─ Compile ─► Expr  arguments ─ Run ─► value    steps and memory counted
//	         └ CompileJQ ► JQ    answer   ─ Run ─► values   stopped by the clock, output counted
//	                                        │
//	                              AppendJSON ─► bytes       depth and size counted
//
//	guard, err := expression.Compile("limit <= 100", []string{"limit"})
//	ok, err := guard.Test(call.Values)
//
//	reshape, err := expression.CompileJQ(".items | map(.title)")
//	values, err := reshape.Run(ctx, answer)
//	b, err := expression.AppendJSON(nil, values[0], expression.MaxOutput)
//
// Neither language reads the environment, files or other input. The languages:
// https://expr-lang.org/docs/language-definition and https://jqlang.org/manual.
package expression

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// The bounds of one run.
const (
	MaxTime   = 50 * time.Millisecond // of a jq expression
	MaxOutput = 8 << 20               // bytes of JSON that a jq expression may make
	MaxValues = 100_000               // outputs of one jq run
	MaxSteps  = 100_000               // rounds of all predicates of one expr run
	MaxMemory = 1_000_000             // elements and bytes that one expr run may make
	MaxSource = 16 << 10              // bytes of an expression as written
	maxNodes  = 2_000                 // of the syntax tree of an expr
	maxDepth  = 64                    // of what AppendJSON writes
)

// Errors that tell which bound a run met.
var (
	ErrTime   = fmt.Errorf("the expression ran longer than %s", MaxTime)
	ErrSteps  = fmt.Errorf("the expression went more than %d rounds", MaxSteps)
	ErrMemory = errors.New("the expression needs too much memory")
	ErrOutput = errors.New("the expression makes too much output")
	ErrDepth  = fmt.Errorf("the value is nested deeper than %d", maxDepth)
)

// SyntaxError is a mistake in an expression.
type SyntaxError struct {
	Line, Column int // 1-based, in characters; 0 when unknown
	Message      string
}

// Error returns the message with its place.
func (e *SyntaxError) Error() string {
	switch {
	case e.Column == 0:
		return e.Message
	case e.Line > 1:
		return fmt.Sprintf("line %d column %d: %s", e.Line, e.Column, e.Message)
	}
	return fmt.Sprintf("column %d: %s", e.Column, e.Message)
}

// at returns a SyntaxError at a byte offset of source.
func at(source string, offset int, message string) *SyntaxError {
	offset = min(max(offset, 0), len(source))
	line := 1 + strings.Count(source[:offset], "\n")
	start := strings.LastIndexByte(source[:offset], '\n') + 1
	return &SyntaxError{Line: line, Column: 1 + utf8.RuneCountInString(source[start:offset]), Message: message}
}
