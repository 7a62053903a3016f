package storetest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

// pages: all rows, each once, in order, whatever the size of a page.
func pages(t *testing.T, open Open) {
	s := open(t)
	const count = 23
	for _, kind := range kinds {
		t.Run(kind.Key().Kind, func(t *testing.T) {
			var all []core.Row
			for n := range count {
				all = append(all, sample(kind, fmt.Sprintf("t%d", n/12), n*7%count, 0))
			}
			if _, ok := kind.(*core.Tenant); ok {
				for n, row := range all {
					row.(*core.Tenant).ID = fmt.Sprintf("t%03d", n)
				}
			}
			put(t, s, all...)
			whole, err := listAll(t.Context(), s, kind, core.Query{Tenant: core.EveryTenant, Limit: 1000})
			if err != nil || len(whole) != count {
				t.Fatalf("list: %d rows, %v", len(whole), err)
			}
			if !timed(kind) && !slices.IsSortedFunc(whole, func(a, b core.Row) int { return strings.Compare(orderOf(a), orderOf(b)) }) {
				t.Error("not in the order of keys")
			}
			for _, limit := range []int{1, 7, count, count + 1} {
				for _, newest := range []bool{false, true} {
					got, err := listAll(t.Context(), s, kind, core.Query{Tenant: core.EveryTenant, Limit: limit, Newest: newest})
					if err != nil {
						t.Fatal(err)
					}
					if newest {
						slices.Reverse(got)
					}
					if !slices.EqualFunc(got, whole, same) {
						t.Errorf("pages of %d, newest %v: other rows than in one page", limit, newest)
					}
				}
			}
		})
	}
}

func timed(row core.Row) bool { _, call := row.(*core.CallRecord); return call }

// orderOf is a text that sorts as the key does.
func orderOf(row core.Row) string {
	k := row.Key()
	if v, ok := row.(*core.DocumentVersion); ok {
		k.ID = fmt.Sprintf("%s %09d", v.Document, v.Number)
	}
	return k.Tenant + "\x00" + k.ID
}

func filters(t *testing.T, open Open) {
	s := open(t)
	put(t, s,
		&core.User{Tenant: "acme", Name: "ann"}, &core.User{Tenant: "acme", Name: "bob", Disabled: true}, &core.User{Tenant: "other", Name: "ann"},
		&core.DocumentVersion{Tenant: "acme", Document: "d", Number: 1, Published: begin},
		&core.DocumentVersion{Tenant: "acme", Document: "d", Number: 2, Published: begin.Add(time.Hour)},
		&core.DocumentVersion{Tenant: "acme", Document: "d", Number: 10, Published: begin.Add(2 * time.Hour)},
		&core.DocumentVersion{Tenant: "acme", Document: "e", Number: 1, Published: begin},
	)
	var calls []core.Row
	for i := range 10 {
		calls = append(calls, &core.CallRecord{ID: strconv.Itoa(9 - i), Tenant: "acme", Time: begin.Add(time.Duration(i) * time.Second), Server: fmt.Sprint("s", i%2), Outcome: "ok"})
	}
	want(t, "append calls", s.Append(t.Context(), calls...), "")
	names := func(q core.Query) string {
		var out []string
		for _, u := range list[core.User](t, s, q) {
			out = append(out, u.Tenant+"/"+u.Name)
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	numbers := func(q core.Query) string {
		var out []string
		for _, v := range list[core.DocumentVersion](t, s, q) {
			out = append(out, strconv.FormatInt(v.Number, 10))
		}
		return strings.Join(out, " ")
	}
	records := func(q core.Query) string {
		var out []string
		for _, c := range list[core.CallRecord](t, s, q) {
			out = append(out, c.ID)
		}
		return strings.Join(out, " ")
	}
	type m = map[string]string
	for _, tt := range []struct {
		what string
		list func(core.Query) string
		q    core.Query
		want string
	}{
		{"name", names, core.Query{Tenant: "acme", Equal: m{"name": "ann"}}, "acme/ann"},
		{"name anywhere", names, core.Query{Tenant: "*", Equal: m{"name": "ann"}}, "acme/ann other/ann"},
		{"two fields", names, core.Query{Tenant: "*", Equal: m{"name": "bob", "disabled": "true"}}, "acme/bob"},
		{"no such", names, core.Query{Tenant: "*", Equal: m{"name": "ann' OR '1'='1"}}, ""},
		{"numbers sort as numbers", numbers, core.Query{Tenant: "acme", Equal: m{"document": "d"}}, "1 2 10"},
		{"newest", numbers, core.Query{Tenant: "acme", Equal: m{"document": "d"}, Newest: true}, "10 2 1"},
		{"the newest", numbers, core.Query{Tenant: "acme", Equal: m{"document": "d"}, Newest: true, Limit: 1}, "10"},
		{"since", numbers, core.Query{Tenant: "acme", Equal: m{"document": "d"}, Since: begin.Add(time.Hour)}, "2 10"},
		{"until", numbers, core.Query{Tenant: "acme", Equal: m{"document": "d"}, Until: begin.Add(time.Hour)}, "1"},
		{"a number", numbers, core.Query{Tenant: "acme", Equal: m{"number": "1"}}, "1 1"},
		{"calls by time", records, core.Query{Tenant: "acme"}, "9 8 7 6 5 4 3 2 1 0"},
		{"calls between", records, core.Query{Tenant: "acme", Since: begin.Add(2 * time.Second), Until: begin.Add(5 * time.Second)}, "7 6 5"},
		{"calls of a server", records, core.Query{Tenant: "acme", Equal: m{"server": "s1"}, Newest: true, Limit: 2}, "0 2"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			if got := tt.list(tt.q); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func refusedQueries(t *testing.T, open Open) {
	s := open(t)
	put(t, s, &core.User{Tenant: "acme", Name: "ann"}, &core.User{Tenant: "acme", Name: "bob"})
	var users []core.User
	cursor, err := s.List(t.Context(), &users, core.Query{Tenant: "acme", Limit: 1})
	if err != nil || cursor == "" || len(users) != 1 {
		t.Fatalf("list: %q, %v, %v", cursor, users, err)
	}
	var policies []core.Policy
	_, err = s.List(t.Context(), &policies, core.Query{Tenant: "acme", After: cursor})
	want(t, "a cursor of another list", err, core.CodeInvalid)
	type m = map[string]string
	for what, q := range map[string]core.Query{
		"no tenant":             {},
		"an unknown field":      {Tenant: "acme", Equal: m{"password": "x"}},
		"SQL for a field":       {Tenant: "acme", Equal: m{"name = '' OR 1=1 --": "x"}},
		"a hidden column":       {Tenant: "acme", Equal: m{"changed_by": "x"}},
		"no boolean":            {Tenant: "acme", Equal: m{"disabled": "perhaps"}},
		"NUL in a value":        {Tenant: "acme", Equal: m{"name": "a\x00"}},
		"NUL in the tenant":     {Tenant: "a\x00"},
		"broken UTF-8":          {Tenant: "acme", Equal: m{"name": "\xff"}},
		"a time":                {Tenant: "acme", Since: begin},
		"too many":              {Tenant: "acme", Limit: 1001},
		"too few":               {Tenant: "acme", Limit: -1},
		"no cursor":             {Tenant: "acme", After: "%%%"},
		"a cursor of nonsense":  {Tenant: "acme", After: "W10"},
		"half a cursor":         {Tenant: "acme", After: cursor[:len(cursor)/2]},
		"a cursor and NUL":      {Tenant: "acme", After: "WyJ1c2VyIiwiYWNtZSIsIlx1MDAwMCJd"},
		"a cursor of numbers":   {Tenant: "acme", After: "WyJ1c2VyIiwxLDJd"},
		"a cursor of two texts": {Tenant: "acme", After: "WyJ1c2VyIiwiYSJd"},
	} {
		_, err := s.List(t.Context(), &users, q)
		want(t, what, err, core.CodeInvalid)
	}
	var replicas []core.Replica
	_, err = s.List(t.Context(), &replicas, core.Query{Tenant: "acme"})
	want(t, "replicas of a tenant", err, core.CodeInvalid)
	var strangers []struct{ A string }
	_, err = s.List(t.Context(), &strangers, core.Query{Tenant: "acme"})
	want(t, "rows of no table", err, core.CodeInternal)
}
