package audit

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

func sample() *core.AuditEntry {
	return &core.AuditEntry{
		Time: time.Date(2026, 11, 30, 23, 37, 1, 123456000, time.UTC), Tenant: "acme", Actor: "u1", ActorName: "Ada",
		Via: core.ViaLogin, Credential: "l1", Address: "192.0.2.7", Action: "user.write", Kind: "user", Name: "grace",
		Outcome: "ok", Reason: "new colleague", Request: "r1", Trace: "t1", Details: json.RawMessage(`{"roles":["viewer"]}`),
		Replica: "a", Seq: 7, Prev: "00ff",
	}
}

func TestHashGolden(t *testing.T) {
	key := []byte("0123456789abcdef0123456789abcdef")
	for name, c := range map[string]struct {
		entry *core.AuditEntry
		want  string
	}{
		"empty": {&core.AuditEntry{}, "7d3801da9b0b7eb9f39615558abab36af0b76545576f5dc203bd10034c70bb27"},
		"full":  {sample(), "e0d0cc3899fa9aa6c876e8c52336eddefd45266656df114017fa918f9673068b"},
	} {
		if got := Hash(key, c.entry); got != c.want {
			t.Errorf("%s: %s, want %s: trails that exist no longer verify", name, got, c.want)
		}
	}
	anchor := &core.Anchor{Replica: "a", Seq: 7, Hash: "00ff", Time: sample().Time}
	if got, want := AnchorMAC(key, anchor), "ecb0ce372690ce9f339e63be471ffd93bb05172e0fc92a7e98de0a408365745d"; got != want {
		t.Errorf("anchor: %s, want %s", got, want)
	}
}

// change gives a field another value.
func change(v reflect.Value) {
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = x.Add(time.Microsecond)
	case *json.RawMessage:
		*x = json.RawMessage(`{"roles":["admin"]}`)
	case *int64:
		*x++
	case *core.Via:
		*x += "x"
	case *string:
		*x += "x"
	case *int:
		*x++
	case *time.Duration:
		*x += time.Microsecond
	default:
		panic("a field of a new type: " + v.Type().String())
	}
}

// everyField tells which fields a hash does not see.
func everyField[T any](fresh func() *T, sum func(*T) string) (blind []string) {
	before := sum(fresh())
	for i := range reflect.TypeFor[T]().NumField() {
		row := fresh()
		change(reflect.ValueOf(row).Elem().Field(i))
		if sum(row) == before {
			blind = append(blind, reflect.TypeFor[T]().Field(i).Name)
		}
	}
	return blind
}

func TestHashSeesEveryField(t *testing.T) {
	key := []byte("k")
	if blind := everyField(sample, func(e *core.AuditEntry) string { return Hash(key, e) }); !reflect.DeepEqual(blind, []string{"Hash"}) {
		t.Errorf("Hash is blind for %v; only Hash itself may be left out", blind)
	}
	if Hash([]byte("other"), sample()) == Hash(key, sample()) {
		t.Error("the key does not matter")
	}
	t.Run("test of the test", func(t *testing.T) {
		forgetful := func(e *core.AuditEntry) string {
			e.Reason = ""
			return Hash(key, e)
		}
		if blind := everyField(sample, forgetful); !reflect.DeepEqual(blind, []string{"Reason", "Hash"}) {
			t.Errorf("a hash without Reason passed: %v", blind)
		}
	})
}

// What moves from one field to the next is another entry.
func TestHashKeepsFieldsApart(t *testing.T) {
	a, b := sample(), sample()
	a.Kind, a.Name = "user", "grace"
	b.Kind, b.Name = "userg", "race"
	if Hash(nil, a) == Hash(nil, b) {
		t.Error("two fields run into each other")
	}
}

func TestNormalize(t *testing.T) {
	e := sample()
	e.Time = time.Date(2026, 11, 30, 23, 37, 1, 123456789, time.FixedZone("x", 3600))
	e.Name, e.Reason = "a\x00b", "\xff"
	e.Details = json.RawMessage("{ \"a\" : \"<\u2028>\" }")
	before := Hash(nil, e)
	Normalize(e)
	if e.Time.Location() != time.UTC || e.Time.Nanosecond() != 123456000 {
		t.Errorf("time %v", e.Time)
	}
	if e.Name != "a\uFFFDb" || e.Reason != "\uFFFD" || string(e.Details) != "{\"a\":\"<\u2028>\"}" {
		t.Errorf("%q %q %s", e.Name, e.Reason, e.Details)
	}
	if Hash(nil, e) == before {
		t.Error("broken text and mended text have one hash")
	}
	hash := Hash(nil, e)
	Normalize(e)
	e.Time = e.Time.In(time.FixedZone("y", 7200))
	e.Details = json.RawMessage(" " + string(e.Details) + "\n")
	if Hash(nil, e) != hash {
		t.Error("a zone, or white space, changed the hash")
	}
	e.Details = json.RawMessage{}
	Normalize(e)
	if e.Details != nil {
		t.Error("details that are nothing are not nil")
	}
}
