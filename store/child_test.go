package store

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/store/storetest"
)

// childVariable makes the test program play a process of its own.
const childVariable = "SALLYPORT_STORE_CHILD"

// child is what that process does. It ends when it is killed, or its input ends.
func child(role string) int {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var err error
		switch role {
		case "write":
			err = childWrites(in.Text())
		case "migrate":
			err = childMigrates(in.Text())
		case "extend":
			err = childExtends(in.Text())
		}
		if err != nil {
			fmt.Println("error", err)
		}
	}
	return 0
}

func childOptions() Options {
	return Options{AuditKey: storetest.Key, Patience: time.Minute, Log: slog.New(slog.NewTextHandler(os.Stdout, nil))}
}

// childWrites changes and appends as fast as it can, and says what was acknowledged. It
// begins with how long a bare connection took, and how long it took the store from nothing
// to its first acknowledged write.
func childWrites(address string) error {
	ctx := context.Background()
	bare, err := bareWrite(ctx, address)
	if err != nil {
		return err
	}
	begin := time.Now()
	s, err := Open(ctx, address, childOptions())
	if err != nil {
		return err
	}
	first := s.Replica() + "-first"
	entry := &core.AuditEntry{Tenant: "acme", Action: "role.write", Name: first}
	if err := s.Change(ctx, entry, putRole(first)); err != nil {
		return err
	}
	fmt.Println("ready", time.Since(begin).Microseconds(), bare.Microseconds())
	fmt.Println("ok 1", first)
	var all sync.WaitGroup
	for w := range 3 {
		all.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("%s-%d-%d", s.Replica(), w, i)
				var err error
				if w == 0 {
					err = s.Append(ctx, &core.CallRecord{Tenant: "acme", ID: name, Time: time.Now()})
				} else {
					entry := &core.AuditEntry{Tenant: "acme", Action: "role.write", Name: name}
					err = s.Change(ctx, entry, func(ctx context.Context, tx core.Tx) error {
						return tx.Put(ctx, &core.Role{Tenant: "acme", Name: name})
					})
				}
				if err != nil {
					fmt.Println("error", err)
					return
				}
				fmt.Printf("ok %d %s\n", w, name)
			}
		})
	}
	all.Wait()
	return nil
}

// childMigrates opens the store as soon as nobody else has it, and leaves it again.
func childMigrates(address string) error {
	for {
		s, err := Open(context.Background(), address, childOptions())
		if core.AsError(err).Code == core.CodeConflict && strings.HasPrefix(address, "sqlite:") {
			time.Sleep(time.Millisecond)
			continue
		}
		if err != nil {
			return err
		}
		fmt.Println("opened")
		return s.Close()
	}
}

// childExtends brings the tables to a number that no program knows.
func childExtends(address string) error {
	s, err := Open(context.Background(), address, childOptions())
	if err != nil {
		return err
	}
	fmt.Println("ready 0")
	if err := s.migrate(context.Background(), append(shipped(), wide(int64(len(shipped()))+1))); err != nil {
		return err
	}
	fmt.Println("done")
	return s.Close()
}

// wide is a migration of many statements, with a way back.
func wide(number int64) migration {
	var up, down strings.Builder
	for i := range wideTables {
		fmt.Fprintf(&up, "CREATE TABLE wide_%d (id TEXT NOT NULL PRIMARY KEY);\n", i)
		fmt.Fprintf(&down, "DROP TABLE wide_%d;\n", i)
	}
	return migration{number: number, name: "wide", compatible: 1, up: up.String(), down: down.String()}
}

const wideTables = 100

// bareWrite is the least that a start costs here: a connection without the store, and one
// small write that nobody else waits for.
func bareWrite(ctx context.Context, address string) (time.Duration, error) {
	begin := time.Now()
	driver, source, statement := "pgx", address, "CREATE TEMPORARY TABLE bare (a BIGINT)"
	if path, lite := strings.CutPrefix(address, "sqlite:"); lite {
		driver, source, statement = "sqlite", fmt.Sprintf("file:%s.bare%d?%s", path, os.Getpid(), sqlitePragmas), "CREATE TABLE bare (a BIGINT)"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, statement)
	return time.Since(begin), err
}
