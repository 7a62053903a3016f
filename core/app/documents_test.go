package app

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/config"
	"github.com/sallyport/sallyport/core/gateway"
)

// Documents of which no Catalog came are refused, whatever the list of problems says.
func TestJudge(t *testing.T) {
	warning, mistake := core.Problem{Message: "w", Warning: true}, core.Problem{Message: "m"}
	for _, row := range []struct {
		name     string
		problems []core.Problem
		catalog  *gateway.Catalog
		refused  bool
		mistakes int
	}{
		{"nothing wrong", nil, &gateway.Catalog{}, false, 0},
		{"a warning", []core.Problem{warning}, &gateway.Catalog{}, false, 0},
		{"a structural mistake", []core.Problem{mistake}, &gateway.Catalog{}, true, 1},
		{"a mistake", []core.Problem{warning, mistake}, nil, true, 1},
		{"no catalog and no word", nil, nil, true, 1},
		{"no catalog and a warning", []core.Problem{warning}, nil, true, 1},
	} {
		problems, refused := judge(row.problems, row.catalog)
		mistakes, _ := tally(problems)
		if refused != row.refused || refused != config.Refused(problems) || mistakes != row.mistakes {
			t.Errorf("%s: refused %v, %v", row.name, refused, problems)
		}
	}
}

// What /readyz says of a reload is short, holds mistakes only, and can be read by a
// program.
func TestReloadError(t *testing.T) {
	problems := []core.Problem{{Message: "only a warning", Warning: true}}
	for i := range 30 {
		problems = append(problems, core.Problem{File: "a.yaml", Line: i + 1, Column: 3, Path: "/servers/0", Message: fmt.Sprintf("mistake %d", i), Fix: "mend it"})
	}
	s := &state{}
	s.set("abc", problems, true)
	var told []map[string]any
	if err := json.Unmarshal(s.readiness().ReloadError, &told); err != nil {
		t.Fatal(err)
	}
	if len(told) != 10 || fmt.Sprint(told[0]) != "map[column:3 file:a.yaml fix:mend it line:1 path:/servers/0 problem:mistake 0]" {
		t.Errorf("told %v", told)
	}
	s.set("abc", problems[:1], false)
	if r := s.readiness(); r.ReloadError != nil || !r.Ready {
		t.Errorf("a warning is told as an error: %s", r.ReloadError)
	}
}
