package main

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// Test runners that are not Go's print sums at their end. A run counts as what they
// say; where they and the exit code disagree, the worse of both holds.
var (
	// test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
	cargoLine = regexp.MustCompile(`^test result: \S+ (\d+) passed; (\d+) failed; (\d+) ignored;`)
	// # pass 12 (TAP) or ℹ pass 12 (the reporter for people); fail, cancelled, skipped, todo
	nodeLine = regexp.MustCompile(`^(?:#|ℹ) (pass|fail|cancelled|skipped|todo) (\d+)$`)
	// 17 of 18 cases passed
	casesLine = regexp.MustCompile(`(?:^|\s)(\d+) of (\d+) (?:cases|fixtures) passed`)

	colors = regexp.MustCompile("\x1b\\[[0-9;]*m")
)

// summary counts what a runner printed: cargo, node or cases. A run that says nothing
// of tests, or ends with another code than 0 without a failure, has failed once.
func summary(in io.Reader, format, name string, code int) (Suite, []string, error) {
	s := Suite{Name: name}
	var all []string
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		all = append(all, lines.Text())
		line := strings.TrimRight(colors.ReplaceAllString(lines.Text(), ""), " \r")
		switch format {
		case "cargo":
			if m := cargoLine.FindStringSubmatch(line); m != nil {
				s.Passed += number(m[1])
				s.Failed += number(m[2])
				s.Skipped += number(m[3])
			}
		case "node":
			if m := nodeLine.FindStringSubmatch(line); m != nil {
				switch n := number(m[2]); m[1] {
				case "pass":
					s.Passed += n
				case "fail", "cancelled":
					s.Failed += n
				default:
					s.Skipped += n
				}
			}
		case "cases":
			if m := casesLine.FindStringSubmatch(line); m != nil {
				s.Passed += number(m[1])
				s.Failed += number(m[2]) - number(m[1])
			}
		default:
			return s, all, fmt.Errorf("no format %q: write cargo, node or cases", format)
		}
	}
	if err := lines.Err(); err != nil {
		return s, all, fmt.Errorf("read test output: %w", err)
	}
	if s.Failed == 0 && (code != 0 || s.Passed == 0) {
		s.Failed = 1
	}
	return s, all, nil
}

func number(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 1 << 30 // more than can be: let it be seen
	}
	return n
}
