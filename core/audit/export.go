package audit

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Format is how an export is written.
type Format string

// The formats. Both hold every field, so that both can be verified.
const (
	JSONL Format = "jsonl" // one entry a line, then {"summary": Summary}
	CSV   Format = "csv"   // RFC 4180 with a header; the last row is summary and a Summary
)

// ExportOptions say how to export. Key is required.
type ExportOptions struct {
	Key    []byte // that the store hashes entries with
	Format Format // "" = JSONL
	Now    func() time.Time
}

// Summary ends an export: with it a file can be verified by itself. Its MAC is over all of
// it, so lines cannot go, nor the end.
type Summary struct {
	Time   time.Time   `json:"time"`
	Filter core.Query  `json:"filter"` // what was asked for; only a whole trail has no gaps
	Count  int64       `json:"count"`  // entries
	Sum    string      `json:"sha256"` // of all bytes before this line
	Trails []ExportEnd `json:"trails"`
	MAC    string      `json:"mac"`
}

// ExportEnd says where the entries of a replica begin and end in an export.
type ExportEnd struct {
	Replica string `json:"replica"`
	First   int64  `json:"first"` // the lowest Seq
	Entries int64  `json:"entries"`
	Head    Head   `json:"head"` // the entry with the highest
}

func (s *Summary) mac(key []byte) string {
	plain := *s
	plain.MAC = ""
	text, err := json.Marshal(&plain)
	if err != nil {
		return ""
	}
	f := newForm(hmac.New(sha256.New, key), formSummary)
	f.bytes(text)
	return f.sum()
}

// whole tells whether nothing was left out on purpose.
func (s *Summary) whole() bool {
	q := &s.Filter
	return q.Tenant == core.EveryTenant && len(q.Equal) == 0 && q.Since.IsZero() && q.Until.IsZero()
}

// Export writes the entries that q asks for, of all pages, and their summary. Texts in CSV
// that a spreadsheet would take for a formula get a ' before them, which VerifyExport takes
// away again.
func Export(ctx context.Context, reader core.Reader, w io.Writer, q core.Query, o ExportOptions) (*Summary, error) {
	if len(o.Key) == 0 {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "export the audit trail: no key", Fix: "give the key that the store hashes entries with"}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	out := &exporter{w: w, sum: sha256.New(), ends: map[string]*ExportEnd{}}
	switch o.Format {
	case "", JSONL:
		out.line = jsonLine
	case CSV:
		out.line = csvLine
		if err := out.write(csvRow(csvHeader)); err != nil {
			return nil, err
		}
	default:
		return nil, &core.Error{Code: core.CodeInvalid, Message: "no such format of exports", Fix: "use jsonl or csv"}
	}
	q.Limit, q.After = 0, ""
	if err := each(ctx, reader, q, out.entry); err != nil {
		return nil, fmt.Errorf("export the audit trail: %w", err)
	}
	s := &Summary{Time: wholeTime(o.Now()), Filter: q, Count: out.count, Sum: hex.EncodeToString(out.sum.Sum(nil)), Trails: []ExportEnd{}}
	s.Filter.Since, s.Filter.Until = wholeTime(q.Since), wholeTime(q.Until)
	for _, replica := range slices.Sorted(maps.Keys(out.ends)) {
		s.Trails = append(s.Trails, *out.ends[replica])
	}
	s.MAC = s.mac(o.Key)
	last, err := s.line(o.Format)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(last)
	return s, err
}

// line is how a summary is written, and the only way.
func (s *Summary) line(format Format) ([]byte, error) {
	text, err := jsonBytes(s)
	if err != nil {
		return nil, err
	}
	if format == CSV {
		return csvRow(append([]string{summaryMark, string(text)}, make([]string, len(csvHeader)-2)...)), nil
	}
	return append(append([]byte(`{"summary":`), text...), "}\n"...), nil
}

const summaryMark = "summary"

type exporter struct {
	w     io.Writer
	sum   hash.Hash
	line  func(*core.AuditEntry) ([]byte, error)
	count int64
	ends  map[string]*ExportEnd
}

func (x *exporter) write(line []byte) error {
	_, _ = x.sum.Write(line)
	_, err := x.w.Write(line)
	return err
}

func (x *exporter) entry(e *core.AuditEntry) error {
	line, err := x.line(e)
	if err != nil {
		return fmt.Errorf("entry %d of %s: %w", e.Seq, e.Replica, err)
	}
	x.count++
	end := x.ends[e.Replica]
	if end == nil {
		end = &ExportEnd{Replica: e.Replica, First: e.Seq}
		x.ends[e.Replica] = end
	}
	end.Entries++
	end.First = min(end.First, e.Seq)
	if e.Seq > end.Head.Seq {
		end.Head = Head{e.Replica, e.Seq, e.Hash, e.Time}
	}
	return x.write(line)
}

func jsonLine(e *core.AuditEntry) ([]byte, error) {
	line, err := jsonBytes(e)
	return append(line, '\n'), err
}

// jsonBytes keeps < and > as they are: they are hashed.
func jsonBytes(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

var csvHeader = []string{
	"time", "tenant", "actor", "actorName", "via", "credential", "address", "action", "kind", "name", "outcome", "reason",
	"request", "trace", "details", "replica", "seq", "prev", "hash",
}

func csvLine(e *core.AuditEntry) ([]byte, error) {
	return csvRow([]string{
		e.Time.UTC().Format(time.RFC3339Nano), e.Tenant, e.Actor, e.ActorName, string(e.Via), e.Credential, e.Address, e.Action, e.Kind, e.Name,
		e.Outcome, e.Reason, e.Request, e.Trace, string(e.Details), e.Replica, strconv.FormatInt(e.Seq, 10), e.Prev, e.Hash,
	}), nil
}

func csvRow(fields []string) []byte {
	safe := make([]string, len(fields))
	for i, s := range fields {
		safe[i] = guard(s)
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(safe) // a bytes.Buffer takes everything
	w.Flush()
	return b.Bytes()
}

// guard puts a ' before what a spreadsheet would run, and before a ', so that unguard
// knows.
func guard(s string) string {
	if s != "" && strings.IndexByte("=+-@\t\r\n'", s[0]) >= 0 {
		return "'" + s
	}
	return s
}

func unguard(s string) string {
	if s != "" && s[0] == '\'' {
		return s[1:]
	}
	return s
}
