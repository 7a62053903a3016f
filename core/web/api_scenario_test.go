package web

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// scenario is one request and what comes back. In path, body and headers $name stands for
// what a row before saved, and for the id of the user of that name; $etag is the ETag of
// the last answer that had one.
type scenario struct {
	name, as       string
	method, path   string
	body           string
	headers        []string
	status         int
	holds, lacks   []string
	save           string // name=key of the answer
	before         func(r *apiRig)
	after          func(t *testing.T, r *apiRig, got apiAnswer)
	withoutReplace bool
}

// tell runs rows one after the other.
func tell(t *testing.T, r *apiRig, rows []scenario) {
	t.Helper()
	saved := map[string]string{}
	for name, id := range r.users {
		saved[name] = id
	}
	fill := func(text string, strict bool) string {
		from := 0
		for {
			at := strings.IndexByte(text[from:], '$') + from
			if at < from {
				return text
			}
			end := at + 1
			for end < len(text) && (text[end] >= 'a' && text[end] <= 'z' || text[end] == '-' && end > at+1 || text[end] >= '0' && text[end] <= '9') {
				end++
			}
			value, found := saved[text[at+1:end]]
			if !found && strict {
				t.Fatalf("nothing was saved as %s", text[at:end])
			}
			if !found { // as it stands: a key of JSON Schema
				from = end
				continue
			}
			text = text[:at] + value + text[end:]
		}
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			r.t = t
			if row.before != nil {
				row.before(r)
			}
			headers := make([]string, 0, len(row.headers))
			for _, h := range row.headers {
				headers = append(headers, fill(h, true))
			}
			body := row.body
			if !row.withoutReplace {
				body = fill(body, true)
			}
			got := r.ask(row.as, row.method, fill(apiRoot+row.path, true), body, headers...)
			if got.status != row.status {
				t.Errorf("%s %s: %d, want %d: %s", row.method, fill(row.path, true), got.status, row.status, got.body)
			}
			if tag := got.header.Get("ETag"); tag != "" {
				saved["etag"] = tag
			}
			for _, part := range row.holds {
				if !strings.Contains(got.body, fill(part, false)) {
					t.Errorf("%s\ndoes not hold %s", got.body, fill(part, false))
				}
			}
			for _, part := range row.lacks {
				if strings.Contains(got.body, fill(part, false)) {
					t.Errorf("%s\nholds %s", got.body, fill(part, false))
				}
			}
			if row.save != "" {
				name, key, _ := strings.Cut(row.save, "=")
				var value map[string]any
				if err := json.Unmarshal([]byte(got.body), &value); err != nil {
					t.Fatal(err)
				}
				saved[name], _ = value[key].(string)
			}
			if row.after != nil {
				row.after(t, r, got)
			}
		})
		if t.Failed() {
			break // what follows rests on it
		}
	}
}

// elsewhere are the groups of routes whose scenarios stand in a test of their own.
var elsewhere = []string{"documents", "servers"}

// TestAPIScenarios plays every route through, and checks that none was left out.
func TestAPIScenarios(t *testing.T) { //nolint:tparallel // a row rests on those before it
	t.Parallel()
	r := startAPI(t, nil)
	for _, part := range []struct {
		name string
		rows []scenario
	}{
		{"users", userScenarios()},
		{"roles and policies", policyScenarios()},
		{"tenants", tenantScenarios()},
		{"secrets", secretScenarios()},
		{"limits and settings", limitScenarios()},
		{"tokens", tokenScenarios()},
		{"what runs", runScenarios()},
		{"modules", moduleScenarios()},
		{"what happened", recordScenarios()},
		{"mistakes", mistakeScenarios()},
		{"browsers", browserScenarios()},
	} {
		ok := t.Run(part.name, func(t *testing.T) { tell(t, r, part.rows) })
		r.t = t
		if !ok {
			return
		}
	}
	t.Run("setting up", func(t *testing.T) {
		first := startAPIWith(t, false, nil)
		first.spec = r.spec
		setUp(t, first)
	})
	followFeeds(t, r)
	for _, route := range r.api.routes.routes {
		status := route.Status
		if status == 0 {
			status = 200
		}
		line := route.Method + " " + route.Pattern + " " + decimal(int64(status))
		if !r.spec.seen[line] && !slices.Contains(elsewhere, route.tag()) {
			t.Errorf("no scenario has seen %s", line)
		}
	}
}
