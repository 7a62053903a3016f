package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/core"
)

// begin is when everything in these tests happens.
var begin = time.Date(2026, 3, 29, 0, 59, 58, 123456000, time.UTC)

// kinds are all rows that a Tx puts.
var kinds = []core.Row{
	&core.Tenant{}, &core.User{}, &core.Role{}, &core.Policy{}, &core.GroupRole{}, &core.Token{}, &core.Login{}, &core.Provider{},
	&core.Credential{}, &core.Connector{}, &core.Document{}, &core.Draft{}, &core.DocumentVersion{}, &core.Module{}, &core.Pin{},
	&core.Entry{}, &core.LiveSession{}, &core.Revocation{}, &core.Limit{}, &core.Usage{}, &core.Setting{}, &core.Replica{},
	&core.Anchor{}, &core.CallRecord{},
}

// replaced tells whether a row without a stamp is replaced by another of its key.
func replaced(row core.Row) bool {
	switch row.(type) {
	case *core.DocumentVersion, *core.Anchor:
		return false
	}
	return stamp(row) == nil
}

// blank returns a new row of the same kind.
func blank(row core.Row) core.Row {
	return reflect.New(reflect.TypeOf(row).Elem()).Interface().(core.Row)
}

// clone returns a copy of a row; its lists are shared.
func clone(row core.Row) core.Row {
	other := blank(row)
	reflect.ValueOf(other).Elem().Set(reflect.ValueOf(row).Elem())
	return other
}

// stamp returns the stamp of a row; nil = it has none.
func stamp(row core.Row) *core.Stamp {
	field := reflect.ValueOf(row).Elem().FieldByName("Stamp")
	if !field.IsValid() {
		return nil
	}
	return field.Addr().Interface().(*core.Stamp)
}

// sample returns a row of the same kind in which every field has a value: that of number n,
// as it was in round. The key does not depend on the round.
func sample(row core.Row, tenant string, n, round int) core.Row {
	made := blank(row)
	v := reflect.ValueOf(made).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		fill(v.Field(i), name, n, round, keyField(made, name))
	}
	field := v.FieldByName("Tenant")
	if _, ok := made.(*core.Tenant); ok {
		field = v.FieldByName("ID")
	}
	if field.IsValid() {
		field.SetString(tenant)
	}
	return made
}

// keyField tells whether the field is part of the key, or must be another one for each row.
func keyField(row core.Row, field string) bool {
	switch field {
	case "ID", "Tenant":
		return true
	case "Name":
		switch row.(type) {
		case *core.Policy, *core.CallRecord, *core.LiveSession, *core.Replica:
			return false
		}
		return true
	case "Sum", "External":
		switch row.(type) {
		case *core.Token, *core.Login, *core.User:
			return true
		}
	case "Document", "Number":
		_, version := row.(*core.DocumentVersion)
		return version
	case "Server", "Of", "Namespace", "Day", "Subject":
		switch row.(type) {
		case *core.Pin, *core.Entry, *core.Revocation, *core.Usage:
			return true
		}
	case "Replica", "Seq":
		switch row.(type) {
		case *core.Anchor, *core.CallRecord: // ids are those of a replica
			return true
		}
	}
	return false
}

func fill(v reflect.Value, name string, n, round int, key bool) {
	if key {
		round = 0
	}
	moment := begin.Add(time.Duration(n)*time.Hour + time.Duration(round)*time.Minute)
	switch v.Interface().(type) {
	case core.Stamp:
		v.Set(reflect.ValueOf(core.Stamp{By: fmt.Sprintf("by %d", round)}))
		return
	case time.Time:
		v.Set(reflect.ValueOf(moment))
		return
	case *time.Time:
		v.Set(reflect.ValueOf(&moment))
		return
	case json.RawMessage:
		v.SetBytes(fmt.Appendf(nil, `{"n":%d,"round":%d}`, n, round))
		return
	case []byte:
		v.SetBytes([]byte{0, 1, byte(n), byte(round), 0xff, '\''})
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("%s %03d.%d '\"\\?0 $1 ü 🙂", name, n, round))
	case reflect.Bool:
		v.SetBool((n+round)%2 == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(1000*n + round + 1))
	case reflect.Float64:
		v.SetFloat(float64(n) + float64(round)/8 + 0.1)
	case reflect.Slice:
		v.Set(reflect.ValueOf([]string{name, strconv.Itoa(n), strconv.Itoa(round), `"quoted", ü`}))
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{name: strconv.Itoa(n), "ü": strconv.Itoa(round)}))
	default:
		panic("storetest: no sample for " + v.Type().String())
	}
}

// same tells whether two rows hold the same.
func same(a, b core.Row) bool { return reflect.DeepEqual(a, b) }

// listAll reads all pages of a kind of rows.
func listAll(ctx context.Context, s core.Reader, of core.Row, q core.Query) ([]core.Row, error) {
	into := reflect.New(reflect.SliceOf(reflect.TypeOf(of).Elem()))
	var all []core.Row
	for {
		next, err := s.List(ctx, into.Interface(), q)
		if err != nil {
			return nil, err
		}
		for i := range into.Elem().Len() {
			all = append(all, into.Elem().Index(i).Addr().Interface().(core.Row))
		}
		if next == "" {
			return all, nil
		}
		q.After = next
		into = reflect.New(reflect.SliceOf(reflect.TypeOf(of).Elem()))
	}
}
