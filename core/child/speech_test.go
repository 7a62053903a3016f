//go:build unix

package child

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
)

// A child that floods stderr is read, logged in part, and its last lines are kept.
func TestFloodOfStderr(t *testing.T) {
	t.Parallel()
	spec := role("grumble", "20000")
	for _, tt := range []struct {
		off off
		max int
	}{{off{}, 10_000}, {off{limits: true}, 20_000}} {
		t.Run(fmt.Sprintf("%+v", tt.off), func(t *testing.T) {
			t.Parallel()
			var log book
			p := run(t, spec, Options{Logger: log.logger(), off: tt.off})
			if err := p.Send(within(t), []byte("{}")); err != nil {
				t.Fatal(err)
			}
			next(t, p, &struct{}{}) // it was not held up
			if err := p.Stop(within(t)); err != nil {
				t.Fatal(err)
			}
			got := len(log.lines(t, "child wrote to stderr", "line"))
			if tt.off.limits && got != tt.max || !tt.off.limits && (got < linesAtOnce || got > tt.max) {
				t.Errorf("%d lines in the log", got)
			}
			if skipped := log.lines(t, "child wrote more than is logged", "skipped"); !tt.off.limits && len(skipped) != 1 {
				t.Errorf("skipped: %v", skipped)
			}
			if tail := p.Exit().Tail; len(tail) != tailLines || tail[tailLines-1] != "line 19999" {
				t.Errorf("tail %q", tail)
			}
		})
	}
}

func TestStderrIsEscaped(t *testing.T) {
	const nasty = "a\x1b[31mred\x00\r\x7f \u202egnp\u2066 \U000e0041 \xff\xfe é 漢\ttab\nsecond " // and no line feed
	spec := role("say", nasty, "")
	for _, escape := range []bool{true, false} {
		var log book
		// execve takes no NUL, so the nasty text comes without it.
		spec.Argv[3] = strings.ReplaceAll(nasty, "\x00", "")
		p := run(t, spec, Options{Logger: log.logger(), off: off{escape: !escape}})
		end(t, p)
		got := log.lines(t, "child wrote to stderr", "line")
		if len(got) != 2 {
			t.Fatalf("%q", got)
		}
		want := `a\x1b[31mred\x0d\x7f \u{202e}gnp\u{2066} \u{e0041} \xff\xfe é 漢 tab`
		if escape && (got[0] != want || p.Exit().Tail[0] != want) {
			t.Errorf("got  %s\nwant %s", got[0], want)
		}
		if !escape && !strings.Contains(got[0], "\x1b[31m") {
			t.Errorf("the test sees nothing: %q", got[0])
		}
	}
}

func TestSecretsAreTakenOut(t *testing.T) {
	spec := role("leak")
	spec.Secret = map[string]core.Secret{"KEY": "hunter2-canary", "PEM": "-----BEGIN-----\nMIIcanary\n-----END-----", "SHORT": "e"}
	spec.Limits.Stderr = 97
	var log book
	p := run(t, spec, Options{Logger: log.logger()})
	e := end(t, p)
	<-p.gone
	for _, seen := range []string{log.String(), strings.Join(e.Tail, "\n"), core.AsError(p.Err()).Error()} {
		for _, part := range []string{"canary", "hunter", "MII"} {
			if strings.Contains(seen, part) {
				t.Errorf("%q is in %s", part, seen)
			}
		}
	}
	if got := log.lines(t, "child wrote to stderr", "line"); !slices.Contains(got, "key is *** and again ***") {
		t.Errorf("%q", got)
	}
	if got := log.lines(t, "child wrote to stdout what is no message", "line"); !slices.Contains(got, "stdout ***") {
		t.Errorf("%q", got)
	}
	t.Run("bites", func(t *testing.T) {
		var log book
		end(t, run(t, spec, Options{Logger: log.logger(), off: off{redact: true}}))
		if !strings.Contains(log.String(), "hunter2-canary") {
			t.Error("the child tells nothing")
		}
	})
}

func TestPrintable(t *testing.T) {
	for _, tt := range []struct {
		in    string
		limit int
		want  string
	}{
		{"", 10, ""}, {"abc", 3, "abc"}, {"abcd", 3, "abc…"}, {"éé", 3, "é…"}, {"\u200b", 9, `\u{200b}`}, {"\x80", 9, `\x80`}, {"\u0085", 9, `\u{85}`},
	} {
		if got := printable(tt.in, tt.limit); got != tt.want {
			t.Errorf("printable(%q, %d) = %q", tt.in, tt.limit, got)
		}
	}
}
