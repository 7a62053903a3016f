// Command tally reads what `go test -json` prints and writes one line per suite:
//
//	go test -json ./... | go run ./.ci/tally -out results.txt
//	core/wire: 120 passed, 0 failed, 0 skipped
//
// A suite is a room: the first two parts of a package's path in the module. With
// -split PATH the tests of that package are suites of their own, one per top-level
// test. Only leaves count: a test with subtests counts through them. The output of
// what failed, of what did not build and the reason of each skip are printed too.
// The exit code is 1 when something failed or nothing ran.
//
// With -name all tests belong to the suite of that name. With -format cargo, node or
// cases it reads what `cargo test`, `node --test` or `sallyport plugin test` prints,
// and -code tells how that ended:
//
//	cargo test >log; go run ./.ci/tally -format cargo -name sdk/rust -code $? <log
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// event is one line of `go test -json` (see `go doc test2json`).
type event struct {
	Action     string `json:"Action"`
	Package    string `json:"Package"`
	ImportPath string `json:"ImportPath"` // of build-output and build-fail
	Test       string `json:"Test"`
	Output     string `json:"Output"`
}

// test is one test while it runs.
type test struct {
	outcome string // pass, fail, skip; "" while it runs
	parent  bool
	output  []string
}

// room is one package.
type room struct {
	tests  map[string]*test
	order  []string
	output []string
	failed bool
}

// Suite counts the leaves of one suite.
type Suite struct {
	Name                    string
	Passed, Failed, Skipped int
}

// String returns the line that closes a suite.
func (s Suite) String() string {
	return fmt.Sprintf("%s: %d passed, %d failed, %d skipped", s.Name, s.Passed, s.Failed, s.Skipped)
}

func main() {
	out := flag.String("out", "", "file that one line per suite is appended to: name, passed, failed, skipped, with tabs between")
	module := flag.String("module", "github.com/sallyport/sallyport", "module path, cut from package names")
	split := flag.String("split", "", "package, below the module, whose top-level tests are suites of their own")
	mark := flag.String("mark", "", "what is added to the name of each suite")
	name := flag.String("name", "", "name of the one suite that all tests belong to")
	format := flag.String("format", "go", "what is read: go (go test -json), cargo, node or cases")
	code := flag.Int("code", 0, "exit code of what was run; not for -format go")
	flag.Parse()
	suites, err := read(os.Stdin, os.Stdout, reading{*module, *split, *mark, *name, *format, *code})
	if err == nil && *out != "" {
		err = record(*out, suites)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tally:", err)
		os.Exit(1)
	}
	ran, failed := 0, 0
	for _, s := range suites {
		ran += s.Passed + s.Failed + s.Skipped
		failed += s.Failed
	}
	if failed > 0 || ran == 0 {
		os.Exit(1)
	}
}

// reading says what is read, and how it is called.
type reading struct {
	module, split, mark, name, format string
	code                              int
}

func read(in io.Reader, out io.Writer, r reading) ([]Suite, error) {
	if r.format == "go" {
		suites, err := tally(in, out, r.module, r.split, r.mark)
		if err != nil {
			return nil, err
		}
		if r.name != "" {
			one := Suite{Name: r.name}
			for _, s := range suites {
				one.Passed += s.Passed
				one.Failed += s.Failed
				one.Skipped += s.Skipped
			}
			suites = []Suite{one}
		}
		for _, s := range suites {
			fmt.Fprintln(out, s)
		}
		return suites, nil
	}
	s, lines, err := summary(in, r.format, r.name, r.code)
	if err != nil {
		return nil, err
	}
	if s.Failed+s.Skipped > 0 {
		for _, line := range lines {
			fmt.Fprintln(out, "   ", line)
		}
	}
	fmt.Fprintln(out, s)
	return []Suite{s}, nil
}

// tally reads events from in and writes failures and reasons of skips to out.
func tally(in io.Reader, out io.Writer, module, split, mark string) ([]Suite, error) {
	rooms := map[string]*room{}
	builds := map[string][]string{}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Action == "" {
			fmt.Fprintln(out, lines.Text()) // go itself said something, such as a broken go.mod
			continue
		}
		switch {
		case e.Action == "build-output":
			builds[e.ImportPath] = append(builds[e.ImportPath], e.Output)
		case e.Package != "":
			r := rooms[e.Package]
			if r == nil {
				r = &room{tests: map[string]*test{}}
				rooms[e.Package] = r
			}
			r.take(e)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read test output: %w", err)
	}
	for _, path := range slices.Sorted(maps.Keys(builds)) {
		for _, line := range builds[path] {
			fmt.Fprint(out, line)
		}
	}
	return count(rooms, out, module, split, mark), nil
}

func (r *room) take(e event) {
	if e.Test == "" {
		switch e.Action {
		case "output":
			r.output = append(r.output, e.Output)
		case "fail":
			r.failed = true
		}
		return
	}
	t := r.tests[e.Test]
	if t == nil {
		t = &test{}
		r.tests[e.Test] = t
		r.order = append(r.order, e.Test)
		for name := e.Test; ; {
			cut := strings.LastIndexByte(name, '/')
			if cut < 0 {
				break
			}
			name = name[:cut]
			if up := r.tests[name]; up != nil {
				up.parent = true
				break // its own parents know already
			}
		}
	}
	switch e.Action {
	case "output":
		t.output = append(t.output, e.Output)
	case "pass", "fail", "skip":
		t.outcome = e.Action
	}
}

func count(rooms map[string]*room, out io.Writer, module, split, mark string) []Suite {
	sums := map[string]*Suite{}
	var names []string
	suite := func(name string) *Suite {
		s := sums[name]
		if s == nil {
			s = &Suite{Name: name + mark}
			sums[name] = s
			names = append(names, name)
		}
		return s
	}
	for _, path := range slices.Sorted(maps.Keys(rooms)) {
		r := rooms[path]
		short := strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
		name := group(short)
		failures := 0
		for _, id := range r.order {
			t := r.tests[id]
			in := name
			if short == split && split != "" {
				top, _, _ := strings.Cut(id, "/")
				in = name + "/" + strings.TrimPrefix(top, "Test")
			}
			switch {
			case t.outcome == "skip" && !t.parent:
				suite(in).Skipped++
				show(out, "left out: "+path+" "+id, t.output)
			case t.outcome == "pass" && !t.parent:
				suite(in).Passed++
			case t.outcome == "fail" || t.outcome == "":
				// A parent fails with its children; it counts by itself only when none
				// of them did, so that no failure gets lost.
				if t.parent && r.failsBelow(id) {
					show(out, "", t.output)
					continue
				}
				suite(in).Failed++
				failures++
				show(out, "FAILED: "+path+" "+id, t.output)
			}
		}
		if r.failed && failures == 0 { // did not build, panicked, ran out of time, or TestMain said no
			suite(name).Failed++
			show(out, "FAILED: "+path, r.output)
		}
	}
	slices.Sort(names)
	suites := make([]Suite, 0, len(names))
	for _, name := range names {
		suites = append(suites, *sums[name])
	}
	return suites
}

// failsBelow tells whether a subtest of id failed or never ended.
func (r *room) failsBelow(id string) bool {
	for name, t := range r.tests {
		if strings.HasPrefix(name, id+"/") && (t.outcome == "fail" || t.outcome == "") {
			return true
		}
	}
	return false
}

// group names the suite of a package: its first two parts, "house" for the root.
func group(short string) string {
	if short == "" {
		return "house"
	}
	parts := strings.SplitN(short, "/", 3)
	return strings.Join(parts[:min(2, len(parts))], "/")
}

func show(out io.Writer, title string, output []string) {
	if title != "" {
		fmt.Fprintln(out, title)
	}
	for _, line := range output {
		if strings.HasPrefix(strings.TrimSpace(line), "=== ") {
			continue
		}
		fmt.Fprint(out, "    ", line)
	}
}

// record appends the counts to a file, for the closing line of the whole run.
func record(path string, suites []Suite) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("record counts: %w", err)
	}
	for _, s := range suites {
		if _, werr := fmt.Fprintf(f, "%s\t%d\t%d\t%d\n", s.Name, s.Passed, s.Failed, s.Skipped); werr != nil {
			err = errors.Join(err, fmt.Errorf("record counts: %w", werr))
		}
	}
	return errors.Join(err, f.Close())
}
