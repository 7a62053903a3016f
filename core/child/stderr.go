package child

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport/core"
)

// speech is what a child writes for people: stderr, and what else it writes to stdout. It
// goes to the log, escaped, without secrets and not too much of it; the last lines are kept.
type speech struct {
	p       *Process
	log     *slog.Logger
	secrets *strings.Replacer
	longest int // bytes of the longest form of a secret

	mu      sync.Mutex
	tokens  float64
	filled  time.Time
	skipped int
	last    []string
}

const (
	linesPerSecond = 20
	linesAtOnce    = 50
	tailLines      = 20
	tailBytes      = 512 // of each line of the tail, before escaping
	shortestSecret = 4   // bytes: what is shorter stands in every second word
)

func newSpeech(p *Process) *speech {
	s := &speech{p: p, log: p.log, tokens: linesAtOnce, filled: p.clock.Now()}
	var forms []string
	for _, secret := range p.spec.Secret {
		forms = append(forms, formsOf(secret)...)
	}
	// Where one begins with another, the longer one must be tried first.
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(forms))
	for _, form := range forms {
		pairs = append(pairs, form, core.Secret("").String())
		s.longest = max(s.longest, len(form))
	}
	if p.off.redact {
		pairs = nil
	}
	s.secrets = strings.NewReplacer(pairs...)
	return s
}

// formsOf returns how a secret may stand in a line: as it is, each of its lines (a key in
// PEM), and as a JSON string.
func formsOf(secret core.Secret) []string {
	value := secret.Reveal()
	candidates := append([]string{value}, strings.FieldsFunc(value, func(r rune) bool { return r == '\n' || r == '\r' })...)
	if quoted, err := json.Marshal(value); err == nil {
		candidates = append(candidates, string(quoted[1:len(quoted)-1]))
	}
	var forms []string
	for _, c := range candidates {
		if len(c) >= shortestSecret && !slices.Contains(forms, c) {
			forms = append(forms, c)
		}
	}
	return forms
}

// drain reads stderr until its end.
func (s *speech) drain() {
	r := bufio.NewReaderSize(s.p.stderr, 8<<10)
	for {
		line, err := readCut(r, s.p.spec.Limits.Stderr+s.longest)
		if len(line) > 0 {
			s.say(theStderr, line)
		}
		if err != nil {
			s.flush()
			return
		}
	}
}

// readCut returns the next line without its end, and of a long one the first keep bytes.
func readCut(r *bufio.Reader, keep int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part[:min(len(part), max(0, keep-len(line)))]...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return bytes.TrimRight(line, "\r\n"), err
		}
	}
}

// stream is where a line came from.
type stream int

const (
	theStdout stream = 1
	theStderr stream = 2
)

// say logs a line and keeps it.
func (s *speech) say(from stream, line []byte) {
	// A secret that the cut would halve is replaced before it is cut.
	limit := s.p.spec.Limits.Stderr
	line = line[:min(len(line), limit+s.longest)]
	text := s.secrets.Replace(string(line))
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.last) == tailLines {
		s.last = append(s.last[:0], s.last[1:]...)
	}
	s.last = append(s.last, s.clean(text, tailBytes))
	if !s.may() {
		s.skipped++
		return
	}
	args := []any{"child", s.p.spec.Name, "pid", s.p.PID(), "line", s.clean(text, limit)}
	if s.skipped > 0 {
		args, s.skipped = append(args, "skipped", s.skipped), 0
	}
	if from == theStdout {
		s.log.Info("child wrote to stdout what is no message", args...)
	} else {
		s.log.Info("child wrote to stderr", args...)
	}
}

// may takes a token of the bucket.
func (s *speech) may() bool {
	now := s.p.clock.Now()
	s.tokens = min(linesAtOnce, s.tokens+now.Sub(s.filled).Seconds()*linesPerSecond)
	s.filled = now
	if s.tokens < 1 && !s.p.off.limits {
		return false
	}
	s.tokens--
	return true
}

// flush tells how many lines at the end were not logged.
func (s *speech) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.skipped > 0 {
		s.log.Info("child wrote more than is logged", "child", s.p.spec.Name, "pid", s.p.PID(), "skipped", s.skipped)
		s.skipped = 0
	}
}

func (s *speech) tail() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.last)
}

func (s *speech) clean(text string, limit int) string {
	if s.p.off.escape {
		return text
	}
	return printable(text, limit)
}

// printable returns at most limit bytes of s with everything escaped that a terminal or a
// reader could take for something else: control, format (bidi, tags) and private
// characters, and bytes that are no UTF-8.
func printable(s string, limit int) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if i+size > limit {
			b.WriteString("…")
			break
		}
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\t':
			b.WriteByte(' ')
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u{%x}`, r)
		}
		i += size
	}
	return b.String()
}
