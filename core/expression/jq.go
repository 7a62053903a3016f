package expression

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/itchyny/gojq"
)

// JQ is a compiled jq expression, safe for concurrent use.
type JQ struct {
	code      *gojq.Code
	source    string
	variables []string
}

// CompileJQ compiles a jq expression. Each of variables ("$status") gets a value
// at each run. The error is a *SyntaxError.
func CompileJQ(source string, variables ...string) (*JQ, error) {
	if len(source) > MaxSource {
		return nil, &SyntaxError{Message: fmt.Sprintf("the expression is longer than %d bytes", MaxSource)}
	}
	query, err := gojq.Parse(source)
	if err != nil {
		var parse *gojq.ParseError
		if errors.As(err, &parse) {
			offset := parse.Offset
			if n := len(parse.Token); n > 0 {
				offset -= n
			}
			return nil, at(source, offset, err.Error())
		}
		return nil, &SyntaxError{Message: err.Error()}
	}
	// No environment loader, no module loader, no input iterator: env is {}, import
	// and input do not compile.
	code, err := gojq.Compile(query, gojq.WithVariables(variables))
	if err != nil {
		return nil, &SyntaxError{Message: err.Error()}
	}
	return &JQ{code: code, source: source, variables: variables}, nil
}

// Uses tells whether the expression may read a variable: a caller need not make
// values that nobody reads.
func (q *JQ) Uses(variable string) bool {
	return strings.Contains(q.source, variable) || strings.Contains(q.source, "$__")
}

// Source returns the expression as written.
func (q *JQ) Source() string { return q.source }

// Run returns the outputs for an input as wire.Decode gives it, numbers as
// json.Number. It may use parts of input in them. values belong to the variables
// of CompileJQ, in order. It ends within MaxTime with ErrTime, or with the error
// of ctx. An error of the expression itself is returned with its own text.
func (q *JQ) Run(ctx context.Context, input any, values ...any) (outputs []any, err error) {
	bounded, cancel := context.WithTimeout(ctx, MaxTime)
	defer cancel()
	defer func() {
		if r := recover(); r != nil { // a mistake in gojq must not end the process
			outputs, err = nil, fmt.Errorf("jq: %v", r)
		}
	}()
	iter := q.code.RunWithContext(bounded, input, values...)
	for {
		v, ok := iter.Next()
		if !ok {
			return outputs, nil
		}
		if failure, ok := v.(error); ok {
			if bounded.Err() != nil && errors.Is(failure, bounded.Err()) {
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				return nil, ErrTime
			}
			var halt *gojq.HaltError
			if errors.As(failure, &halt) && halt.Value() == nil {
				return outputs, nil
			}
			return nil, failure
		}
		if len(outputs) >= MaxValues {
			return nil, ErrOutput
		}
		outputs = append(outputs, v)
	}
}
