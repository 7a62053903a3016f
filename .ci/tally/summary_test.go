package main

import (
	"strings"
	"testing"
)

func TestSummary(t *testing.T) {
	tests := []struct {
		name, format, in string
		code             int
		want             string
	}{
		{"cargo", "cargo", "running 2 tests\ntest a ... ok\n\ntest result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\n   Doc-tests x\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n", 0, "x: 3 passed, 0 failed, 1 skipped"},
		{"cargo in colors", "cargo", "test result: \x1b[32mok\x1b[m. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n", 0, "x: 2 passed, 0 failed, 0 skipped"},
		{"cargo fails", "cargo", "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n", 101, "x: 1 passed, 2 failed, 0 skipped"},
		{"cargo does not compile", "cargo", "error[E0425]: cannot find value\n", 101, "x: 0 passed, 1 failed, 0 skipped"},
		{"the second binary does not run", "cargo", "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\nerror: no\n", 1, "x: 1 passed, 1 failed, 0 skipped"},
		{"nothing ran", "cargo", "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 5 filtered out\n", 0, "x: 0 passed, 1 failed, 0 skipped"},
		{"node as TAP", "node", "ok 1 - a\n# tests 5\n# suites 0\n# pass 3\n# fail 1\n# cancelled 1\n# skipped 0\n# todo 0\n# duration_ms 7.5\n", 1, "x: 3 passed, 2 failed, 0 skipped"},
		{"node for people", "node", "✔ a\nℹ tests 3\nℹ pass 2\nℹ fail 0\nℹ cancelled 0\nℹ skipped 1\nℹ todo 0\n", 0, "x: 2 passed, 0 failed, 1 skipped"},
		{"node says so within a test", "node", "    # pass 100\n# pass 1\n# fail 0\n", 0, "x: 1 passed, 0 failed, 0 skipped"},
		{"node did not start", "node", "node: bad option\n", 9, "x: 0 passed, 1 failed, 0 skipped"},
		{"cases", "cases", "fixtures/a.yaml:3: x\n17 of 18 cases passed\n", 1, "x: 17 passed, 1 failed, 0 skipped"},
		{"cases of two", "cases", "2 of 2 cases passed\n3 of 3 cases passed\n", 0, "x: 5 passed, 0 failed, 0 skipped"},
		{"cases passed and something else did not", "cases", "2 of 2 cases passed\nleak: 3 MiB\n", 1, "x: 2 passed, 1 failed, 0 skipped"},
		{"no cases", "cases", "0 of 0 cases passed\n", 0, "x: 0 passed, 1 failed, 0 skipped"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, lines, err := summary(strings.NewReader(tt.in), tt.format, "x", tt.code)
			if err != nil || s.String() != tt.want {
				t.Errorf("%s, %v, want %s", s, err, tt.want)
			}
			if got := strings.Join(lines, "\n") + "\n"; got != tt.in {
				t.Errorf("the output is %q, want %q", got, tt.in)
			}
		})
	}
	if _, _, err := summary(strings.NewReader("a\n"), "junit", "x", 0); err == nil {
		t.Error("an unknown format was taken")
	}
}
