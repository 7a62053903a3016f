package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
)

// The actions of the entries that this room adds to the trail.
const (
	ActionCalls       = "calls"        // a batch of call records: Details is a Batch
	ActionCallsLost   = "calls.lost"   // records that could not be kept: Details is {"count": …, "since": …}
	ActionCallsPruned = "calls.pruned" // records older than Details.before are deleted
	ActionAuditPruned = "audit.pruned" // entries older than Details.before are deleted, up to an anchor
	ActionUsagePruned = "usage.pruned" // sums of use of days older than Details.before are deleted
)

// Batch is what the trail says of call records that were written together: those of
// Replica whose ids are greater than After and not greater than Last are exactly these.
type Batch struct {
	Replica string    `json:"replica"`
	After   string    `json:"after"` // Last of the batch before, of the same process; "" for its first, which begins at First
	First   string    `json:"first"` // id
	Last    string    `json:"last"`
	Count   int       `json:"count"`
	From    time.Time `json:"from"` // the earliest and the latest Time of them
	To      time.Time `json:"to"`
	Sum     string    `json:"sum"` // SHA-256 over the SHA-256 of each record, in the order of ids; hexadecimal
}

// holds tells whether a record with this id must be of the batch.
func (b *Batch) holds(id string) bool {
	if b.After == "" {
		return id >= b.First && id <= b.Last
	}
	return id > b.After && id <= b.Last
}

// NewBatch describes records, of which there is at least one, in the order of their ids.
func NewBatch(replica, after string, records []*core.CallRecord) Batch {
	b := Batch{Replica: replica, After: after, First: records[0].ID, Last: records[len(records)-1].ID, Count: len(records)}
	b.From, b.To = records[0].Time, records[0].Time
	leaves := make([]leaf, len(records))
	for i := range records {
		leaves[i] = leafOf(records[i])
		if t := records[i].Time; t.Before(b.From) {
			b.From = t
		} else if t.After(b.To) {
			b.To = t
		}
	}
	b.Sum = sumOf(leaves)
	return b
}

// leaf is what a batch keeps of one record.
type leaf struct {
	id  string
	sum [sha256.Size]byte
}

func sumOf(leaves []leaf) string {
	h := sha256.New()
	for i := range leaves {
		_, _ = h.Write(leaves[i].sum[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}

func sortLeaves(leaves []leaf) {
	slices.SortFunc(leaves, func(a, b leaf) int { return strings.Compare(a.id, b.id) })
}

// leafOf hashes every field of a record, encoded as those of an entry are (Hash).
func leafOf(c *core.CallRecord) leaf {
	l := leaf{id: c.ID}
	h := sha256.New()
	f := newForm(h, formCall)
	f.text(c.ID)
	f.time(c.Time)
	f.text(c.Replica)
	f.text(c.Tenant)
	f.text(c.Subject)
	f.text(c.Who)
	f.text(string(c.Via))
	f.text(c.Credential)
	f.text(c.Server)
	f.text(c.Kind)
	f.text(c.Name)
	f.text(c.Revision)
	f.text(c.Client)
	f.text(c.Outcome)
	f.number(int64(c.Duration / time.Microsecond))
	f.number(int64(c.In))
	f.number(int64(c.Out))
	f.text(c.Request)
	f.text(c.Trace)
	f.text(c.Arguments)
	f.text(c.Result)
	h.Sum(l.sum[:0])
	return l
}

// NormalizeCall makes of a record what every database gives back unchanged: see
// Normalize. Texts that clients choose are cut.
func NormalizeCall(c *core.CallRecord) {
	const most = 512
	c.Time = wholeTime(c.Time)
	c.Duration = c.Duration.Truncate(time.Microsecond)
	for _, s := range []*string{
		&c.Replica, &c.Tenant, &c.Subject, &c.Who, (*string)(&c.Via), &c.Credential, &c.Server, &c.Kind, &c.Name,
		&c.Revision, &c.Client, &c.Outcome, &c.Request, &c.Trace,
	} {
		*s = plain(cut(*s, most))
	}
	c.Arguments, c.Result = plain(c.Arguments), plain(c.Result)
}

// cut returns at most n bytes of s, never half a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}
