package manifest

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// InvalidError is the error of a manifest that was read: every mistake with its place, what
// it is and what would be right.
type InvalidError struct{ Problems []core.Problem }

// maxProblems is how many mistakes one reading reports.
const maxProblems = 50

// Error writes one mistake a line: file:line:column: path: message; fix.
func (e *InvalidError) Error() string {
	var b strings.Builder
	for i := range e.Problems {
		p := &e.Problems[i]
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
		}
		b.WriteString(": ")
		if p.Path != "" {
			b.WriteString(p.Path + ": ")
		}
		b.WriteString(p.Message)
		if p.Fix != "" {
			b.WriteString("; " + p.Fix)
		}
	}
	return b.String()
}
