package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// Whoever lists or checks documents reads the files past the watcher: a change that is not
// loaded yet is still told.
func TestReadingSwallowsNoChange(t *testing.T) {
	file := filepath.Join(t.TempDir(), "shop.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		name  string
		read  func(h *gatehouse) string
		holds string
	}{
		{"list", func(h *gatehouse) string { return string(h.fileDocuments()[0].Text) }, "name: two"},
		{"check", func(h *gatehouse) string { return fmt.Sprint(h.check(t.Context(), core.DefaultTenant, nil)) }, "two"},
	} {
		t.Run(row.name, func(t *testing.T) {
			write("servers:\n  - {name: one}\n")
			settings := config.Defaults()
			settings.Config, settings.Data, settings.Admin.Listen, settings.Access.Callers = []string{file}, "", "off", "open"
			h, err := newGatehouse(t.Context(), settings, console{out: io.Discard, err: io.Discard, lookup: os.LookupEnv, environ: os.Environ}, kinds())
			if err != nil {
				t.Fatal(err)
			}
			defer h.close(context.Background())
			docs := watchedFiles(settings, h)
			h.estate.first().files = docs
			docs.read()
			write("servers:\n  - {name: two}\n")
			if got := row.read(h); !strings.Contains(got, row.holds) {
				t.Errorf("it reads %s", got)
			}
			ctx, stop := context.WithCancel(t.Context())
			told, ended := make(chan struct{}, 8), make(chan struct{})
			go func() {
				defer close(ended)
				docs.watch(ctx, slog.New(slog.DiscardHandler), func() { told <- struct{}{} })
			}()
			select {
			case <-told:
			case <-time.After(10 * time.Second):
				t.Error("the change is never told")
			}
			stop()
			<-ended
		})
	}
}

// A draft that is checked while documents are loaded waits: what a load remembers as
// served is what it opened.
func TestDraftsWaitForLoads(t *testing.T) {
	p := &tenantPlugins{open: func() (*pluginHouse, error) { return nil, errors.New("none here") }}
	held, release := p.hold(t.Context())
	if _, problems := p.Open(held, nil); problems != nil {
		t.Error(problems)
	}
	opened := make(chan struct{})
	go func() {
		defer close(opened)
		p.Open(t.Context(), nil)
	}()
	select {
	case <-opened:
		t.Error("a draft came between")
	case <-time.After(50 * time.Millisecond):
	}
	release()
	<-opened
}
