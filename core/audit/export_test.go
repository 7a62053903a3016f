package audit

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/core"
)

func export(t *testing.T, m *memory, c *clock, format Format, q core.Query) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := Export(t.Context(), m, &b, q, ExportOptions{Key: testKey, Format: format, Now: c.now}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestExportVerifies(t *testing.T) {
	for _, format := range []Format{JSONL, CSV} {
		t.Run(string(format), func(t *testing.T) {
			m, c := twoTrails(t)
			odd := sample()
			odd.Time, odd.Name, odd.Reason, odd.ActorName, odd.Details = c.now(), "=cmd|' /C calc'!A0", "two\nlines, \"quoted\" <b>", "'quoted", []byte(`{"a":"<\u2028>"}`)
			m.link(odd)
			for name, c2 := range map[string]struct {
				q    core.Query
				want int64
			}{
				"all":        {core.Query{Tenant: core.EveryTenant}, 17},
				"small page": {core.Query{Tenant: core.EveryTenant, Limit: 2}, 17},
				"a tenant":   {core.Query{Tenant: "acme"}, 15},
				"an action":  {core.Query{Tenant: core.EveryTenant, Equal: map[string]string{"action": ActionCalls}}, 2},
				"a time":     {core.Query{Tenant: core.EveryTenant, Since: newClock().now().Add(6 * time.Second)}, 12},
				"none":       {core.Query{Tenant: "nobody"}, 0},
			} {
				file := export(t, m, c, format, c2.q)
				r, err := VerifyExport(bytes.NewReader(file), testKey)
				if err != nil || !r.OK() || r.Entries != c2.want {
					t.Errorf("%s: %v, %+v", name, err, r)
				}
			}
		})
	}
}

func TestVerifyExportFinds(t *testing.T) {
	for _, format := range []Format{JSONL, CSV} {
		for name, c := range map[string]struct {
			harm func(lines [][]byte) [][]byte
			want string // kind of a fault that must be among those found
		}{
			"nothing": {func(l [][]byte) [][]byte { return l }, ""},
			"an edit": {func(l [][]byte) [][]byte {
				l[3] = bytes.Replace(l[3], []byte("new colleague"), []byte("old colleague"), 1)
				return l
			}, FaultEdited},
			"a deletion":         {func(l [][]byte) [][]byte { return slices.Delete(l, 3, 4) }, FaultDeleted},
			"a deletion, ending": {func(l [][]byte) [][]byte { return slices.Delete(l, len(l)-2, len(l)-1) }, FaultTruncated},
			"a first that goes":  {func(l [][]byte) [][]byte { return slices.Delete(l, 1, 2) }, FaultDeleted},
			"two change places":  {func(l [][]byte) [][]byte { l[2], l[3] = l[3], l[2]; return l }, FaultEdited},
			"a copy":             {func(l [][]byte) [][]byte { return slices.Insert(l, 3, l[3]) }, FaultDuplicate},
			"no summary":         {func(l [][]byte) [][]byte { return l[:len(l)-1] }, FaultTruncated},
			"another summary": {func(l [][]byte) [][]byte {
				l[len(l)-1] = bytes.Replace(l[len(l)-1], []byte("2026-"), []byte("2025-"), 1)
				return l
			}, FaultEdited},
			"half a line":         {func(l [][]byte) [][]byte { return append(l[:4], l[4][:len(l[4])/2]) }, FaultTorn},
			"half a summary":      {func(l [][]byte) [][]byte { n := len(l) - 1; l[n] = l[n][:len(l[n])/2]; return l }, FaultTorn},
			"a line after it":     {func(l [][]byte) [][]byte { return append(l, l[3]) }, FaultInserted},
			"something else":      {func(l [][]byte) [][]byte { l[3] = []byte("hello\n"); return l }, FaultEdited},
			"a trail that is out": {func(l [][]byte) [][]byte { return slices.Delete(l, 1, 5) }, FaultDeleted},
		} {
			t.Run(string(format)+"/"+name, func(t *testing.T) {
				m, clock := twoTrails(t)
				lines := bytes.SplitAfter(export(t, m, clock, format, core.Query{Tenant: core.EveryTenant}), []byte("\n"))
				lines = lines[:len(lines)-1] // what is behind the last line break
				if format == JSONL {
					lines = slices.Insert(lines, 0, nil) // CSV has a header there
				}
				r, err := VerifyExport(bytes.NewReader(bytes.Join(c.harm(lines), nil)), testKey)
				if err != nil {
					t.Fatal(err)
				}
				found := slices.ContainsFunc(r.Faults, func(f Fault) bool { return f.Kind == c.want })
				if r.OK() != (c.want == "") || c.want != "" && !found {
					t.Errorf("found %v", r.Faults)
				}
			})
		}
	}
}

func TestVerifyExportOfAnotherKey(t *testing.T) {
	m, c := twoTrails(t)
	file := export(t, m, c, JSONL, core.Query{Tenant: core.EveryTenant})
	if r, err := VerifyExport(bytes.NewReader(file), []byte("other")); err != nil || r.OK() {
		t.Errorf("%v, %+v", err, r)
	}
	if _, err := VerifyExport(bytes.NewReader(file), nil); core.AsError(err).Code != core.CodeInvalid {
		t.Errorf("without a key: %v", err)
	}
	if _, err := Export(t.Context(), m, &bytes.Buffer{}, core.Query{}, ExportOptions{}); core.AsError(err).Code != core.CodeInvalid {
		t.Errorf("export without a key: %v", err)
	}
	if _, err := Export(t.Context(), m, &bytes.Buffer{}, core.Query{}, ExportOptions{Key: testKey, Format: "xml"}); core.AsError(err).Code != core.CodeInvalid {
		t.Errorf("export as xml: %v", err)
	}
	if r, err := VerifyExport(strings.NewReader(""), testKey); err != nil || r.OK() {
		t.Errorf("nothing at all: %v, %v", err, r)
	}
}

// Any byte that changes in an export is found.
func TestAnyByteOfAnExport(t *testing.T) {
	m, c := twoTrails(t)
	for _, format := range []Format{JSONL, CSV} {
		file := export(t, m, c, format, core.Query{Tenant: core.EveryTenant})
		rapid.Check(t, func(r *rapid.T) {
			harmed := slices.Clone(file)
			at := rapid.IntRange(0, len(harmed)-2).Draw(r, "at")
			to := rapid.ByteRange(' ', '~').Draw(r, "to")
			if harmed[at] == to {
				r.Skip()
			}
			harmed[at] = to
			if report, err := VerifyExport(bytes.NewReader(harmed), testKey); err == nil && report.OK() {
				r.Fatalf("byte %d may be %q", at, to)
			}
		})
	}
}

// No cell of CSV begins with what a spreadsheet runs.
func TestCSVIsNoFormula(t *testing.T) {
	m, c := twoTrails(t)
	for _, name := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "plain"} {
		e := sample()
		e.Time, e.Name, e.Reason = c.now(), name, name
		m.link(e)
	}
	rows, err := csv.NewReader(bytes.NewReader(export(t, m, c, CSV, core.Query{Tenant: core.EveryTenant}))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, row := range rows {
		for _, cell := range row {
			if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") {
				t.Errorf("a cell reads %q", cell)
			}
			if strings.HasPrefix(cell, "'") {
				seen++
			}
		}
	}
	if seen != 2*7 {
		t.Errorf("%d cells are guarded", seen)
	}
	rapid.Check(t, func(r *rapid.T) {
		if s := rapid.String().Draw(r, "s"); unguard(guard(s)) != s {
			r.Fatalf("%q does not come back", s)
		}
	})
}

func FuzzVerifyExport(f *testing.F) {
	f.Add([]byte("{\"time\":\"2026-11-30T12:00:00Z\",\"seq\":1}\n{\"summary\":{}}\n"))
	f.Add([]byte("time,tenant\n\"a\"\"\n"))
	f.Add([]byte("{\"summary\":null}"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if r, err := VerifyExport(bytes.NewReader(file), testKey); err == nil && r.OK() {
			t.Errorf("somebody without the key wrote an export: %q", file)
		}
	})
}
