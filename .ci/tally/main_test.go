package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTally(t *testing.T) {
	const m = "example.org/m"
	tests := []struct {
		name  string
		in    []string
		split string
		mark  string
		want  []string // suites
		show  []string // somewhere in the output
	}{
		{
			name: "leaves count, parents do not",
			in: []string{
				`{"Action":"run","Package":"example.org/m/core/wire","Test":"TestA"}`,
				`{"Action":"run","Package":"example.org/m/core/wire","Test":"TestA/one"}`,
				`{"Action":"pass","Package":"example.org/m/core/wire","Test":"TestA/one"}`,
				`{"Action":"run","Package":"example.org/m/core/wire","Test":"TestA/two"}`,
				`{"Action":"pass","Package":"example.org/m/core/wire","Test":"TestA/two"}`,
				`{"Action":"pass","Package":"example.org/m/core/wire","Test":"TestA"}`,
				`{"Action":"pass","Package":"example.org/m/core/wire"}`,
			},
			want: []string{"core/wire: 2 passed, 0 failed, 0 skipped"},
		},
		{
			name: "a subtest's failure counts once and is shown",
			in: []string{
				`{"Action":"run","Package":"example.org/m/core/mcp","Test":"TestA"}`,
				`{"Action":"run","Package":"example.org/m/core/mcp","Test":"TestA/one"}`,
				`{"Action":"output","Package":"example.org/m/core/mcp","Test":"TestA/one","Output":"    a_test.go:3: got 1\n"}`,
				`{"Action":"fail","Package":"example.org/m/core/mcp","Test":"TestA/one"}`,
				`{"Action":"fail","Package":"example.org/m/core/mcp","Test":"TestA"}`,
				`{"Action":"fail","Package":"example.org/m/core/mcp"}`,
			},
			want: []string{"core/mcp: 0 passed, 1 failed, 0 skipped"},
			show: []string{"FAILED: example.org/m/core/mcp TestA/one", "got 1"},
		},
		{
			name: "a parent that fails after its subtests passed",
			in: []string{
				`{"Action":"run","Package":"example.org/m/core/mcp","Test":"TestA"}`,
				`{"Action":"run","Package":"example.org/m/core/mcp","Test":"TestA/one"}`,
				`{"Action":"pass","Package":"example.org/m/core/mcp","Test":"TestA/one"}`,
				`{"Action":"fail","Package":"example.org/m/core/mcp","Test":"TestA"}`,
				`{"Action":"fail","Package":"example.org/m/core/mcp"}`,
			},
			want: []string{"core/mcp: 1 passed, 1 failed, 0 skipped"},
		},
		{
			name: "a package that does not build",
			in: []string{
				`{"ImportPath":"example.org/m","Action":"build-output","Output":"./a.go:1:1: no\n"}`,
				`{"ImportPath":"example.org/m","Action":"build-fail"}`,
				`{"Action":"fail","Package":"example.org/m"}`,
			},
			want: []string{"house: 0 passed, 1 failed, 0 skipped"},
			show: []string{"./a.go:1:1: no"},
		},
		{
			name: "a test that never ended",
			in: []string{
				`{"Action":"run","Package":"example.org/m/core/web","Test":"TestA"}`,
				`{"Action":"output","Package":"example.org/m/core/web","Output":"panic: test timed out\n"}`,
				`{"Action":"fail","Package":"example.org/m/core/web"}`,
			},
			want: []string{"core/web: 0 passed, 1 failed, 0 skipped"},
		},
		{
			name: "a package without tests is no skip",
			in: []string{
				`{"Action":"skip","Package":"example.org/m/core"}`,
				`{"Action":"pass","Package":"example.org/m","Test":"TestA"}`,
			},
			want: []string{"house: 1 passed, 0 failed, 0 skipped"},
		},
		{
			name:  "split",
			split: "core/interop",
			in: []string{
				`{"Action":"pass","Package":"example.org/m/core/interop","Test":"TestA"}`,
				`{"Action":"output","Package":"example.org/m/core/interop","Test":"TestB","Output":"    b_test.go:3: no Node\n"}`,
				`{"Action":"skip","Package":"example.org/m/core/interop","Test":"TestB"}`,
			},
			want: []string{"core/interop/A: 1 passed, 0 failed, 0 skipped", "core/interop/B: 0 passed, 0 failed, 1 skipped"},
			show: []string{"left out: example.org/m/core/interop TestB", "no Node"},
		},
		{
			name: "mark",
			mark: " (twice)",
			in:   []string{`{"Action":"pass","Package":"example.org/m/core/web","Test":"TestA"}`},
			want: []string{"core/web (twice): 1 passed, 0 failed, 0 skipped"},
		},
		{
			name: "deep packages belong to their room",
			in: []string{
				`{"Action":"pass","Package":"example.org/m/core/invokers/rest","Test":"TestA"}`,
				`{"Action":"pass","Package":"example.org/m/core/invokers","Test":"TestA"}`,
			},
			want: []string{"core/invokers: 2 passed, 0 failed, 0 skipped"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			suites, err := tally(strings.NewReader(strings.Join(tt.in, "\n")), &out, m, tt.split, tt.mark)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range suites {
				got = append(got, s.String())
			}
			if g, w := strings.Join(got, "\n"), strings.Join(tt.want, "\n"); g != w {
				t.Errorf("got\n%s\nwant\n%s", g, w)
			}
			for _, s := range tt.show {
				if !strings.Contains(out.String(), s) {
					t.Errorf("output lacks %q:\n%s", s, out.String())
				}
			}
		})
	}
}

func TestRecordAppends(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results")
	for range 2 {
		if err := record(path, []Suite{{Name: "a", Passed: 1, Failed: 2, Skipped: 3}}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := "a\t1\t2\t3\na\t1\t2\t3\n"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
