package audit

import (
	"bufio"
	"context"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
)

// AnchorOptions say how trails are anchored. Key and Replica are required.
type AnchorOptions struct {
	Key     []byte        // that the store hashes entries with
	Replica string        // that of the store
	Every   time.Duration // 0 = an hour
	// File is appended to, one line of JSON an anchor: it should lie where whoever can
	// write the database cannot. "" = none.
	File string

	Observer core.Observer
	Log      *slog.Logger
	Now      func() time.Time
}

// Anchors pins the end of this replica's trail at times: in the store, in the log, and in
// a file. What is outside the database proves a cut that took the anchors too.
type Anchors struct {
	store core.Store
	o     AnchorOptions
	mu    sync.Mutex // over Pin, which Run and a command may call
	last  core.Anchor
	fails atomic.Int64
}

// NewAnchors returns Anchors that pin while Run runs.
func NewAnchors(store core.Store, o AnchorOptions) *Anchors {
	if o.Every <= 0 {
		o.Every = time.Hour
	}
	if o.Observer == nil {
		o.Observer = core.NoObserver{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &Anchors{store: store, o: o}
	o.Observer.Counter("sallyport_audit_anchors_failed", "Anchors of the audit trail that could not be set.", a.fails.Load)
	return a
}

// Run pins the end of the trail every hour, and once more when ctx ends. Let it end after
// whatever writes entries.
func (a *Anchors) Run(ctx context.Context) {
	tick := time.NewTicker(a.o.Every)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
			a.pin(ctx)
		case <-ctx.Done():
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	a.pin(last)
}

func (a *Anchors) pin(ctx context.Context) {
	if _, err := a.Pin(ctx); err != nil {
		a.fails.Add(1)
		a.o.Log.LogAttrs(ctx, slog.LevelError, "audit trail not anchored", slog.String("replica", a.o.Replica), slog.Any("error", err))
	}
}

// Pin anchors the end of the trail now. It returns nil where there is nothing new, and an
// *Error with CodeInternal where the end is not what it was: such a trail is not anchored,
// it wants Verify.
func (a *Anchors) Pin(ctx context.Context) (*core.Anchor, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	head, err := a.head(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case head == nil && a.last.Seq == 0, head != nil && head.Seq == a.last.Seq && head.Hash == a.last.Hash:
		return nil, nil
	case head == nil || head.Seq <= a.last.Seq:
		return nil, &core.Error{Code: core.CodeInternal, Message: "the end of the audit trail was cut off or changed", Fix: "run sallyport audit verify"}
	case !hmac.Equal([]byte(Hash(a.o.Key, head)), []byte(head.Hash)):
		return nil, &core.Error{Code: core.CodeInternal, Message: "the last entry of the audit trail does not fit its hash", Fix: "run sallyport audit verify"}
	}
	one := core.Anchor{Replica: a.o.Replica, Seq: head.Seq, Hash: head.Hash, Time: wholeTime(a.o.Now())}
	one.MAC = AnchorMAC(a.o.Key, &one)
	// The log and the file come first: they are there also when the store goes away.
	a.o.Log.LogAttrs(ctx, slog.LevelInfo, "audit trail anchored", slog.String("replica", one.Replica), slog.Int64("seq", one.Seq),
		slog.String("hash", one.Hash), slog.String("anchored", one.Time.Format(time.RFC3339Nano)), slog.String("mac", one.MAC))
	fileErr := a.append(&one)
	if err := a.store.Append(ctx, &one); err != nil {
		return nil, errors.Join(err, fileErr)
	}
	a.last = one
	return &one, fileErr
}

// head returns the last entry of this replica, or nil. Entries are listed by time, and the
// last two may have changed places.
func (a *Anchors) head(ctx context.Context) (*core.AuditEntry, error) {
	var newest []core.AuditEntry
	q := core.Query{Tenant: core.EveryTenant, Equal: map[string]string{"replica": a.o.Replica}, Newest: true, Limit: 20}
	if _, err := a.store.List(ctx, &newest, q); err != nil {
		return nil, fmt.Errorf("read the end of the audit trail: %w", err)
	}
	var head *core.AuditEntry
	for i := range newest {
		if head == nil || newest[i].Seq > head.Seq {
			head = &newest[i]
		}
	}
	return head, nil
}

func (a *Anchors) append(one *core.Anchor) (err error) {
	if a.o.File == "" {
		return nil
	}
	line, err := json.Marshal(one)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(a.o.File, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("anchor into a file: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("anchor into a file: %w", err)
	}
	return file.Sync()
}

// ReadHeads reads anchors from a file of Anchors, or from the program's log in JSON: lines
// that are no anchors are passed over. One that is no anchor of ours is an *Error with
// CodeInvalid, for somebody wrote it.
func ReadHeads(r io.Reader, key []byte) ([]Head, error) {
	var heads []Head
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 1<<20)
	for number := 1; scanner.Scan(); number++ {
		var line struct {
			core.Anchor

			Anchored time.Time `json:"anchored"` // the log's own time is another
		}
		if json.Unmarshal(scanner.Bytes(), &line) != nil || line.MAC == "" || line.Seq == 0 {
			continue
		}
		if !line.Anchored.IsZero() {
			line.Time = line.Anchored
		}
		if !hmac.Equal([]byte(AnchorMAC(key, &line.Anchor)), []byte(line.MAC)) {
			return nil, &core.Error{Code: core.CodeInvalid, Message: fmt.Sprintf("line %d is no anchor of ours", number), Fix: "use the key of this store, and the file as it was written"}
		}
		heads = append(heads, Head{line.Replica, line.Seq, line.Hash, line.Time})
	}
	return heads, scanner.Err()
}
