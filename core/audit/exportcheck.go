package audit

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/core"
)

// VerifyExport checks a file of Export, in either format, without the store: each entry,
// the trails where the export is of whole ones, and the summary. Its error is that of r.
func VerifyExport(r io.Reader, key []byte) (*Report, error) { return verifyExport(r, key, Hash) }

func verifyExport(r io.Reader, key []byte, hash func([]byte, *core.AuditEntry) string) (*Report, error) {
	if len(key) == 0 {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "verify an export: no key", Fix: "give the key of the store that it came from"}
	}
	x := &importer{in: bufio.NewReaderSize(r, 64<<10), key: key, hash: hash, trails: map[string]*trail{}, sum: sha256.New()}
	if first, err := x.in.Peek(1); err == nil && first[0] != '{' {
		x.csv = true
	}
	if err := x.read(); err != nil {
		return nil, err
	}
	x.finish()
	return &x.report, nil
}

type importer struct {
	in      *bufio.Reader
	csv     bool
	key     []byte
	hash    func([]byte, *core.AuditEntry) string
	sum     interface{ Sum(b []byte) []byte }
	lines   int
	trails  map[string]*trail
	summary *Summary
	faults  faults
	report  Report
}

const longestLine = 64 << 20

// line returns the next line; in CSV one that ends outside quotes. whole is false where
// the file ends within it.
func (x *importer) line() (line []byte, whole bool, err error) {
	for {
		part, err := x.in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > longestLine:
			return nil, false, &core.Error{Code: core.CodeTooLarge, Message: "a line of the export is longer than any that we write", Fix: "give a file of sallyport audit export"}
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return line, false, nil
		case err != nil:
			return nil, false, err
		case !x.csv || bytes.Count(line, []byte(`"`))%2 == 0:
			return line, true, nil
		}
	}
}

func (x *importer) fault(kind, replica string, seq int64, at time.Time, format string, args ...any) {
	x.faults.add(Fault{Kind: kind, Replica: replica, Seq: seq, Count: 1, Time: at, Message: fmt.Sprintf(format, args...)})
}

func (x *importer) read() error {
	sum := sha256.New()
	x.sum = sum
	for {
		line, whole, err := x.line()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			break
		}
		x.lines++
		if x.summary != nil {
			x.fault(FaultInserted, "", 0, x.summary.Time, "line %d comes after the summary", x.lines)
			continue
		}
		entry, summary, err := x.parse(line)
		switch {
		case err != nil && !whole:
			x.fault(FaultTorn, "", 0, time.Time{}, "line %d is the last, and not whole", x.lines)
		case err != nil:
			x.fault(FaultEdited, "", 0, time.Time{}, "line %d cannot be read", x.lines)
		case summary != nil:
			x.summary = summary
			// The MAC is over what it says, and JSON says one thing in many ways.
			format := JSONL
			if x.csv {
				format = CSV
			}
			if written, err := summary.line(format); err != nil || !bytes.Equal(bytes.TrimSuffix(line, []byte("\n")), bytes.TrimSuffix(written, []byte("\n"))) {
				x.fault(FaultEdited, "", 0, summary.Time, "the summary is not written as we write it")
			}
			continue
		case entry != nil:
			x.entry(entry)
		}
		_, _ = sum.Write(line)
	}
	return nil
}

func (x *importer) entry(e *core.AuditEntry) {
	x.report.Entries++
	t := x.trails[e.Replica]
	if t == nil {
		t = &trail{key: x.key, replica: e.Replica, hash: x.hash, unanchored: true}
		x.trails[e.Replica] = t
	}
	t.add(e)
}

var errRow = errors.New("not a row of an export")

// parse reads a line as an entry, a summary, or the header of CSV (all nil).
func (x *importer) parse(line []byte) (*core.AuditEntry, *Summary, error) {
	if !x.csv {
		var both struct {
			core.AuditEntry

			Summary *Summary `json:"summary"`
		}
		if err := json.Unmarshal(line, &both); err != nil {
			return nil, nil, err
		}
		if both.Summary != nil {
			return nil, both.Summary, nil
		}
		return &both.AuditEntry, nil, nil
	}
	row, err := csv.NewReader(bytes.NewReader(line)).Read()
	if err != nil || len(row) != len(csvHeader) {
		return nil, nil, errors.Join(err, errRow)
	}
	for i := range row {
		row[i] = unguard(row[i])
	}
	switch {
	case x.lines == 1 && slices.Equal(row, csvHeader):
		return nil, nil, nil
	case row[0] == summaryMark:
		var s Summary
		err := json.Unmarshal([]byte(row[1]), &s)
		return nil, &s, err
	}
	e := &core.AuditEntry{
		Tenant: row[1], Actor: row[2], ActorName: row[3], Via: core.Via(row[4]), Credential: row[5], Address: row[6], Action: row[7], Kind: row[8],
		Name: row[9], Outcome: row[10], Reason: row[11], Request: row[12], Trace: row[13], Details: json.RawMessage(row[14]),
		Replica: row[15], Prev: row[17], Hash: row[18],
	}
	if e.Time, err = time.Parse(time.RFC3339Nano, row[0]); err != nil {
		return nil, nil, err
	}
	e.Seq, err = strconv.ParseInt(row[16], 10, 64)
	return e, nil, err
}

func (x *importer) finish() {
	whole := x.summary != nil && x.summary.whole()
	for _, replica := range slices.Sorted(maps.Keys(x.trails)) {
		t := x.trails[replica]
		t.partial = !whole
		t.end()
		x.faults.all(&t.faults)
		x.report.Trails = append(x.report.Trails, Trail{
			Replica: replica, First: t.first.seq, Entries: t.entries, Head: Head{replica, t.last.seq, t.last.hash, t.last.time},
		})
	}
	x.ends()
	x.report.Faults, x.report.More = x.faults.sorted(), x.faults.more
}

// ends checks the summary.
func (x *importer) ends() {
	s := x.summary
	if s == nil {
		x.fault(FaultTruncated, "", 0, time.Time{}, "the export has no summary: its end was cut off")
		return
	}
	x.report.Time = s.Time
	if !hmac.Equal([]byte(s.mac(x.key)), []byte(s.MAC)) {
		x.fault(FaultEdited, "", 0, s.Time, "the summary is not ours: it was changed, or written by somebody without the key")
		return
	}
	for _, end := range s.Trails {
		t := x.trails[end.Replica]
		if t == nil {
			x.fault(FaultDeleted, end.Replica, end.First, end.Head.Time, "all entries of the trail are missing")
			continue
		}
		if t.first.seq > end.First {
			x.fault(FaultDeleted, end.Replica, end.First, t.first.time, "the trail began with entry %d, and now with %d", end.First, t.first.seq)
		}
		if t.last.seq < end.Head.Seq {
			x.fault(FaultTruncated, end.Replica, t.last.seq+1, end.Head.Time, "the trail ended with entry %d, and now with %d", end.Head.Seq, t.last.seq)
		}
	}
	switch {
	case s.Count > x.report.Entries:
		x.fault(FaultDeleted, "", 0, s.Time, "%d entries were written, and %d are there", s.Count, x.report.Entries)
	case s.Count < x.report.Entries:
		x.fault(FaultInserted, "", 0, s.Time, "%d entries were written, and %d are there", s.Count, x.report.Entries)
	case s.Sum != hex.EncodeToString(x.sum.Sum(nil)):
		x.fault(FaultEdited, "", 0, s.Time, "the bytes are not those that were written: lines were changed or change places")
	}
}
