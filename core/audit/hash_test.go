package audit_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/audit"
)

// Every field but Hash changes the hash, and so does a text that moves to its neighbour.
func TestHashCoversEveryField(t *testing.T) {
	key := []byte("k")
	first := audit.Hash(key, &core.AuditEntry{})
	seen := map[string]string{first: "nothing"}
	fields := reflect.TypeFor[core.AuditEntry]()
	for i := range fields.NumField() {
		e := core.AuditEntry{}
		field := reflect.ValueOf(&e).Elem().Field(i)
		switch field.Interface().(type) {
		case time.Time:
			field.Set(reflect.ValueOf(time.Unix(1, 1)))
		case json.RawMessage:
			field.SetBytes([]byte("x"))
		case int64:
			field.SetInt(7)
		default:
			field.SetString("x")
		}
		name, sum := fields.Field(i).Name, audit.Hash(key, &e)
		if name == "Hash" {
			if sum != first {
				t.Error("Hash hashes itself")
			}
			continue
		}
		if seen[sum] != "" {
			t.Errorf("%s hashes like %s", name, seen[sum])
		}
		seen[sum] = name
	}
	a := audit.Hash(key, &core.AuditEntry{Actor: "ab", ActorName: "c"})
	if a == audit.Hash(key, &core.AuditEntry{Actor: "a", ActorName: "bc"}) {
		t.Error("a text may move to the next field")
	}
	if first == audit.Hash([]byte("other"), &core.AuditEntry{}) {
		t.Error("the key does not matter")
	}
	here := time.Unix(1, 0).In(time.FixedZone("", 3600))
	if audit.Hash(key, &core.AuditEntry{Time: here}) != audit.Hash(key, &core.AuditEntry{Time: here.UTC()}) {
		t.Error("the time zone matters")
	}
}
