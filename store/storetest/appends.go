package storetest

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

func appends(t *testing.T, open Open) {
	s := open(t)
	use := func(n int64) *core.Usage {
		return &core.Usage{Tenant: "acme", Day: "2026-03-29", Subject: "u", Server: "s", Name: "t", Calls: n, Errors: 2 * n, Refused: 3 * n, In: 4 * n, Out: 5 * n, Millis: 6 * n}
	}
	want(t, "usage", s.Append(t.Context(), use(1), use(10), &core.Usage{Tenant: "acme", Day: "2026-03-29", Calls: 7}), "")
	want(t, "usage", s.Append(t.Context(), use(100)), "")
	got := use(0)
	want(t, "get", s.Get(t.Context(), got), "")
	if *got != *use(111) {
		t.Errorf("usage is %+v", got)
	}

	session := sample(&core.LiveSession{}, "acme", 1, 0).(*core.LiveSession)
	want(t, "session", s.Append(t.Context(), session), "")
	session.Seen = begin.Add(time.Hour)
	earlier := *session
	earlier.Seen = begin
	want(t, "session", s.Append(t.Context(), &earlier, session), "") // the last of one key counts
	same1(t, s, session)

	// Many rows are one transaction, of more than one statement.
	var many []core.Row
	for i := range 777 {
		many = append(many, &core.CallRecord{Tenant: "acme", Time: begin.Add(time.Duration(i)), Name: strconv.Itoa(i)})
	}
	want(t, "calls", s.Append(t.Context(), many...), "")
	if n := len(list[core.CallRecord](t, s, core.Query{Tenant: "acme"})); n != 777 {
		t.Errorf("%d calls", n)
	}
	want(t, "calls and one that is none", s.Append(t.Context(), &core.CallRecord{Tenant: "new"}, &core.CallRecord{}), core.CodeInvalid)
	if n := len(list[core.CallRecord](t, s, core.Query{Tenant: "new"})); n != 0 {
		t.Errorf("%d calls of a transaction that failed", n)
	}

	// Entries go with rows, or not at all.
	told := entry("calls")
	want(t, "a call with its entry", s.Append(t.Context(), told, &core.CallRecord{Tenant: "told", ID: "1"}), "")
	if told.Seq == 0 || told.Hash == "" || len(list[core.CallRecord](t, s, core.Query{Tenant: "told"})) != 1 {
		t.Errorf("the entry is %+v", told)
	}
	same1(t, s, told)
	untold := entry("calls")
	want(t, "an entry with a call that is none", s.Append(t.Context(), untold, &core.CallRecord{}), core.CodeInvalid)
	if untold.Seq != 0 {
		t.Errorf("the entry is %+v", untold)
	}
	next := entry("test.entry")
	want(t, "audit", s.Audit(t.Context(), next), "")
	if next.Seq != told.Seq+1 || next.Prev != told.Hash {
		t.Errorf("after entry %d comes %d", told.Seq, next.Seq)
	}
	want(t, "an entry without an action", s.Append(t.Context(), &core.AuditEntry{Tenant: "acme"}), core.CodeInvalid)

	entry := &core.Entry{Tenant: "acme", Namespace: "n", Name: "k", Value: []byte("1")}
	want(t, "value", s.Append(t.Context(), entry), "")
	want(t, "value", s.Append(t.Context(), &core.Entry{Tenant: "acme", Namespace: "n", Name: "k", Value: []byte("2")}), "")
	want(t, "get", s.Get(t.Context(), entry), "")
	if string(entry.Value) != "2" || entry.Version != 2 || entry.Created.IsZero() {
		t.Errorf("value is %+v", entry)
	}

	// Last uses touch what is there, and nothing else of it.
	early, late := begin.Add(time.Hour), begin.Add(2*time.Hour)
	token := &core.Token{Tenant: "acme", User: "u", Sum: "sum", Revoked: &early}
	login := &core.Login{Tenant: "acme", ID: "l", Sum: "sum", Seen: begin}
	user := &core.User{Tenant: "acme", Name: "ann", Roles: []string{"admin"}}
	put(t, s, token, login, user)
	used, seen, logged := &core.Token{Tenant: "acme", ID: token.ID, LastUsed: &late}, &core.Login{Tenant: "acme", ID: "l", Seen: late}, &core.User{Tenant: "acme", ID: user.ID, LastLogin: &late}
	want(t, "last uses", s.Append(t.Context(), used, seen, logged, &core.Login{Tenant: "acme", ID: "gone", Sum: "x", Seen: late}), "")
	token.LastUsed, login.Seen, user.LastLogin = &late, late, &late
	token.Scopes = []string{}
	same1(t, s, token)
	same1(t, s, login)
	want(t, "get", s.Get(t.Context(), user), "")
	if user.Roles[0] != "admin" || user.Version != 1 || !user.LastLogin.Equal(late) {
		t.Errorf("user is %+v", user)
	}
	want(t, "a login that has ended", s.Get(t.Context(), &core.Login{Tenant: "acme", ID: "gone"}), core.CodeNotFound)
	used.LastUsed, seen.Seen = &early, early
	want(t, "earlier uses", s.Append(t.Context(), used, seen), "")
	same1(t, s, token)
	same1(t, s, login)

	for _, row := range []core.Row{&core.Role{Tenant: "acme", Name: "r"}, &core.Policy{Tenant: "acme", ID: "p"}, &core.AuditEntry{Tenant: "acme", Replica: "r", Seq: 1}, &core.Document{Tenant: "acme", Name: "d"}} {
		want(t, "append a "+row.Key().Kind, s.Append(t.Context(), row), core.CodeInvalid)
	}
}

func prunes(t *testing.T, open Open) {
	s := open(t)
	hour := func(n int) time.Time { return begin.Add(time.Duration(n) * time.Hour) }
	cut := hour(5)
	for kind, make := range map[string]func(n int, at time.Time) core.Row{
		"call": func(n int, at time.Time) core.Row {
			return &core.CallRecord{Tenant: "acme", ID: strconv.Itoa(n), Time: at}
		},
		"login": func(n int, at time.Time) core.Row {
			return &core.Login{Tenant: "acme", ID: strconv.Itoa(n), Sum: strconv.Itoa(n), Expires: at}
		},
		"revocation": func(n int, at time.Time) core.Row {
			return &core.Revocation{Tenant: "acme", Of: "jwt", ID: strconv.Itoa(n), Until: at}
		},
		"session": func(n int, at time.Time) core.Row {
			return &core.LiveSession{Tenant: "acme", ID: strconv.Itoa(n), Expires: at}
		},
		"kv": func(n int, at time.Time) core.Row {
			return &core.Entry{Tenant: "acme", Namespace: "n", Name: strconv.Itoa(n), Expires: &at}
		},
		"replica": func(n int, at time.Time) core.Row { return &core.Replica{ID: strconv.Itoa(n), Seen: at} },
		"usage": func(n int, _ time.Time) core.Row {
			return &core.Usage{Tenant: "acme", Day: begin.AddDate(0, 0, n-5).Format(time.DateOnly), Calls: 1}
		},
	} {
		t.Run(kind, func(t *testing.T) {
			for n := range 10 {
				put(t, s, make(n, hour(n)))
			}
			if kind == "kv" {
				put(t, s, &core.Entry{Tenant: "acme", Namespace: "n", Name: "for ever"})
			}
			n, err := s.Prune(t.Context(), kind, cut)
			if err != nil || n != 5 {
				t.Errorf("pruned %d rows, %v", n, err)
			}
			for i := range 10 {
				code := core.Code("")
				if i < 5 {
					code = core.CodeNotFound
				}
				want(t, fmt.Sprint("get ", i), s.Get(t.Context(), make(i, hour(i))), code)
			}
			if n, err := s.Prune(t.Context(), kind, cut); err != nil || n != 0 {
				t.Errorf("pruned %d rows the second time, %v", n, err)
			}
		})
	}
	want(t, "get", s.Get(t.Context(), &core.Entry{Tenant: "acme", Namespace: "n", Name: "for ever"}), "")
	for _, kind := range []string{"user", "document", "nonsense", ""} {
		_, err := s.Prune(t.Context(), kind, cut)
		want(t, "prune "+kind, err, core.CodeInvalid)
	}
	var many []core.Row
	for i := range 4321 {
		many = append(many, &core.CallRecord{Tenant: "many", ID: strconv.Itoa(i), Time: begin})
	}
	want(t, "append", s.Append(t.Context(), many...), "")
	if n, err := s.Prune(t.Context(), "call", cut); err != nil || n != 4321 {
		t.Errorf("pruned %d rows, %v", n, err)
	}
}

// prunesAudit: what an old anchor has fixed goes, and the chain goes on.
func prunesAudit(t *testing.T, open Open) {
	s := open(t)
	for range 6 {
		want(t, "audit", s.Audit(t.Context(), entry("test.entry")), "")
	}
	all := trail(t, s)
	prune := func(before time.Time, wantGone int64) {
		t.Helper()
		if n, err := s.Prune(t.Context(), "audit", before); err != nil || n != wantGone {
			t.Errorf("pruned %d entries, want %d, %v", n, wantGone, err)
		}
	}
	prune(begin.AddDate(100, 0, 0), 0) // there is no anchor
	at := func(n int, when time.Time) *core.Anchor {
		return &core.Anchor{Replica: all[n].Replica, Seq: all[n].Seq, Hash: all[n].Hash, Time: when}
	}
	want(t, "anchors", s.Append(t.Context(), at(2, begin), at(5, begin.AddDate(0, 0, 1)), &core.Anchor{Replica: "another", Seq: 99, Time: begin}), "")
	prune(begin, 0)
	prune(begin.Add(time.Second), 3)
	left := list[core.AuditEntry](t, s, core.Query{Tenant: core.EveryTenant})
	if len(left) != 3 || left[0].Seq != 4 || left[0].Prev != all[2].Hash {
		t.Errorf("left: %+v", left)
	}
	prune(begin.AddDate(1, 0, 0), 3)
	want(t, "audit", s.Audit(t.Context(), entry("test.entry")), "")
	left = list[core.AuditEntry](t, s, core.Query{Tenant: core.EveryTenant})
	if len(left) != 1 || left[0].Seq != 7 || left[0].Prev != all[5].Hash {
		t.Errorf("left: %+v", left)
	}
	changed := at(2, begin)
	changed.Hash = "another"
	want(t, "an anchor again", s.Append(t.Context(), changed), "")
	want(t, "get", s.Get(t.Context(), changed), "")
	if changed.Hash != all[2].Hash {
		t.Error("an anchor was replaced")
	}
}
