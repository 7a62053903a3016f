package store

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

// A backup is gzip around lines of JSON, the same for every database:
//
//	{"sallyport":"backup","format":1,"tables":1,"made":"…","revision":7}
//	["user",{"Tenant":"acme",…}]     one line a row, of every column
//	{"rows":4711,"sha256":"…"}       over all bytes before
const backupFormat = 1

// longestLine bounds a line: the widest row, its bytes in base64 and its texts escaped.
const longestLine = 6*widest + 1<<20

// longestCopy bounds the transaction of a restore.
const longestCopy = 4 * time.Hour

type backupHead struct {
	Sallyport string    `json:"sallyport"`
	Format    int       `json:"format"`
	Tables    int64     `json:"tables"` // number of the newest migration
	Made      time.Time `json:"made"`
	Revision  int64     `json:"revision"`
}

type backupEnd struct {
	Rows   int64  `json:"rows"`
	SHA256 string `json:"sha256"`
}

// Backup writes every row of one moment, sealed secrets and hashes of passwords included:
// whoever has it and the key has everything.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	zip := gzip.NewWriter(w)
	sum := sha256.New()
	out := json.NewEncoder(io.MultiWriter(zip, sum))
	out.SetEscapeHTML(false)
	work, done, err := s.circuit.enter(ctx)
	if err != nil {
		return s.away("back up", err)
	}
	defer done()
	// What was written cannot be taken back, so this is tried once.
	err = s.readers.RunInTx(work, s.dialect.snapshot(), func(ctx context.Context, db bun.Tx) error {
		at, err := s.schemaNow(ctx, db)
		if err != nil {
			return err
		}
		head := backupHead{Sallyport: "backup", Format: backupFormat, Tables: at.Number, Made: s.options.Now().UTC()}
		if err := db.NewRaw("SELECT value FROM revision WHERE id = 1").Scan(ctx, &head.Revision); err != nil {
			return err
		}
		if err := out.Encode(head); err != nil {
			return err
		}
		rows := int64(0)
		for _, t := range tables {
			err := t.dump(ctx, db, func(model any) error {
				rows++
				return out.Encode([]any{t.about().name, model})
			})
			if err != nil {
				return err
			}
		}
		return out.Encode(backupEnd{rows, hex.EncodeToString(sum.Sum(nil))})
	})
	if err != nil {
		return s.failed(work, "back up", err)
	}
	if err := zip.Close(); err != nil {
		return &core.Error{Code: core.CodeUnavailable, Message: "write the backup", Err: err}
	}
	return nil
}

// dump reads all rows, a page at a time, in the order of their primary keys.
func (s *shelf[R, M]) dump(ctx context.Context, db bun.IDB, each func(any) error) error {
	key := s.meta(db).PKs
	page := batch
	if s.heavy != "" {
		page = 1
	}
	var after []any
	for {
		var ms []M
		q := db.NewSelect().Model(&ms).Limit(int64(page))
		if after != nil {
			beyond(q, key, after, false)
		}
		for _, f := range key {
			q = q.OrderExpr("?", bun.Ident(f.Name))
		}
		if err := q.Scan(ctx); err != nil {
			return err
		}
		for i := range ms {
			if err := each(&ms[i]); err != nil {
				return err
			}
		}
		if len(ms) < page {
			return nil
		}
		after = s.values(key, &ms[len(ms)-1])
	}
}

// errBackup says what is wrong with a backup.
func errBackup(what string) error {
	return &core.Error{Code: core.CodeInvalid, Message: "the backup cannot be restored: " + what, Fix: "a whole file that Backup wrote"}
}

// Restore reads a backup into a store that has nothing in it, or changes nothing.
func (s *Store) Restore(ctx context.Context, r io.Reader) error {
	zip, err := gzip.NewReader(r)
	if err != nil {
		return errBackup("it is not compressed with gzip")
	}
	in := &backupReader{from: bufio.NewReaderSize(zip, 1<<16), sum: sha256.New()}
	select {
	case s.gate <- struct{}{}:
		defer func() { <-s.gate }()
	case <-ctx.Done():
		return s.fault(ctx, "restore", ctx.Err())
	}
	// A backup is read once, so the transaction cannot be tried again.
	err = s.attempt(ctx, longestCopy, func(ctx context.Context, t *tx) ([]*core.AuditEntry, error) {
		if err := s.dialect.lock(ctx, t.db, lockChange); err != nil {
			return nil, err
		}
		t.shown = true
		return nil, s.restore(ctx, t, in)
	})
	return s.failed(ctx, "restore", err)
}

func (s *Store) restore(ctx context.Context, t *tx, in *backupReader) error {
	for _, table := range tables {
		var there bool
		k := table.about()
		if err := t.db.NewRaw("SELECT EXISTS (SELECT 1 FROM ?)", bun.Ident(k.table)).Scan(ctx, &there); err != nil {
			return err
		}
		if there {
			return &core.Error{Code: core.CodeConflict, Message: fmt.Sprintf("the store is not empty: it has a %s", k.title()), Fix: "restore into a new database"}
		}
	}
	line, err := in.line()
	if err != nil {
		return err
	}
	var head backupHead
	if json.Unmarshal(line, &head) != nil || head.Sallyport != "backup" {
		return errBackup("it does not begin as one")
	}
	at, err := s.schemaNow(ctx, t.db)
	if err != nil {
		return err
	}
	if head.Format != backupFormat || head.Tables > at.Number {
		return errBackup(fmt.Sprintf("it is of format %d and tables %d; this program knows %d and %d", head.Format, head.Tables, backupFormat, at.Number))
	}
	if err := s.restoreRows(ctx, t, in); err != nil {
		return err
	}
	_, err = t.db.NewRaw("UPDATE revision SET value = ? WHERE id = 1", head.Revision).Exec(ctx)
	return err
}

// restoreRows reads the lines after the first, and inserts rows of one table together.
func (s *Store) restoreRows(ctx context.Context, t *tx, in *backupReader) error {
	var now table
	var waiting []json.RawMessage
	size := 0
	flush := func() error {
		if len(waiting) == 0 {
			return nil
		}
		err := now.restore(ctx, t.db, waiting)
		waiting, size = nil, 0
		return err
	}
	for rows := int64(0); ; rows++ {
		sum := hex.EncodeToString(in.sum.Sum(nil))
		line, err := in.line()
		if err != nil {
			return err
		}
		if line[0] == '{' {
			var end backupEnd
			if json.Unmarshal(line, &end) != nil || end.Rows != rows || end.SHA256 != sum {
				return errBackup("its checksum is not that of its rows")
			}
			if _, err := in.from.ReadByte(); !errors.Is(err, io.EOF) {
				return errBackup("something follows its end")
			}
			return flush()
		}
		var row []json.RawMessage
		var kind string
		if json.Unmarshal(line, &row) != nil || len(row) != 2 || json.Unmarshal(row[0], &kind) != nil {
			return errBackup(fmt.Sprintf("row %d is not one", rows+1))
		}
		table, ok := tableOfKind(kind)
		if !ok {
			return errBackup(fmt.Sprintf("row %d is of a kind that this program does not know", rows+1))
		}
		if table != now || len(waiting) == batch || size > 1<<20 {
			if err := flush(); err != nil {
				return err
			}
		}
		now = table
		waiting = append(waiting, row[1])
		size += len(line)
	}
}

func (s *shelf[R, M]) restore(ctx context.Context, db bun.IDB, lines []json.RawMessage) error {
	ms := make([]M, len(lines))
	for i, line := range lines {
		if json.Unmarshal(line, &ms[i]) != nil {
			return errBackup("a " + s.title() + " is not one")
		}
		r := s.noun(&ms[i])
		if err := check(s.name, &r); err != nil {
			return err
		}
	}
	_, err := db.NewInsert().Model(&ms).Exec(ctx)
	return err
}

// backupReader reads lines, and sums them up.
type backupReader struct {
	from *bufio.Reader
	sum  hash.Hash
}

func (b *backupReader) line() ([]byte, error) {
	var line []byte
	for {
		part, err := b.from.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull) && len(line) < longestLine:
			continue
		case err != nil || len(bytes.TrimSpace(line)) == 0:
			return nil, errBackup("it ends too early, or is damaged")
		}
		_, _ = b.sum.Write(line) // hashes take everything
		return line, nil
	}
}
