//go:build unix

package child

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// One line goes out as one line, and means the same.
func FuzzFramed(f *testing.F) {
	for _, seed := range []string{"", "{}", "{\n\"a\" :\r\n 1}", "\n\n", "[1,\n2]\n", `{"a":"\n"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		got := framed([]byte("x"), line)
		if len(got) != len(line)+2 || got[0] != 'x' || bytes.IndexByte(got, '\n') != len(got)-1 || bytes.IndexByte(got, '\r') >= 0 {
			t.Fatalf("%q", got)
		}
		if !json.Valid(line) {
			return
		}
		var before, after bytes.Buffer
		if json.Compact(&before, line) != nil || json.Compact(&after, got[1:]) != nil || before.String() != after.String() {
			t.Fatalf("%q became %q", line, got)
		}
	})
}

// Whatever comes, in whatever pieces, a line is within its limit, and none is lost before
// the first one that is not.
func FuzzReadLine(f *testing.F) {
	for _, seed := range []string{"", "a\nb", "a\r\n\n b \n", "0123456789abcdef\nx\n", "0123456789abcdefg\n", "\xff\x00\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		const limit = 16
		r := bufio.NewReaderSize(bytes.NewReader(text), 16) // the smallest: long lines come in pieces
		for i, want := range bytes.Split(text, []byte("\n")) {
			got, err := readLine(r, limit, false)
			if errors.Is(err, errLong) {
				if len(bytes.TrimRight(want, "\r")) <= limit && len(want) <= limit {
					t.Fatalf("line %d %q is not long", i, want)
				}
				return
			}
			if len(got) > limit || !bytes.Equal(got, bytes.TrimSpace(want)) {
				t.Fatalf("line %d is %q, want %q", i, got, want)
			}
			if errors.Is(err, io.EOF) {
				return
			}
		}
	})
}

// What goes to the log cannot be taken for anything else.
func FuzzPrintable(f *testing.F) {
	for _, seed := range []string{"", "abc", "\x1b[2J", "é\u202e\xff", "\U000e0041"} {
		f.Add(seed, 10)
	}
	f.Fuzz(func(t *testing.T, s string, limit int) {
		got := printable(s, limit)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("%q", got)
		}
		if len(got) > 10*max(0, limit)+len("…") {
			t.Fatalf("%d bytes for a limit of %d", len(got), limit)
		}
	})
}
