package store

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/sallyport/sallyport/core"
)

// How many rows List returns.
const (
	fewRows  = 100
	mostRows = 1000
)

// list reads one page: of rows after a key rather than after a count, so that a page costs
// the same wherever it is, and rows that come and go meanwhile move nothing.
func (s *shelf[R, M]) list(ctx context.Context, db bun.IDB, into any, q core.Query) (string, error) {
	limit := q.Limit
	switch {
	case limit == 0:
		limit = fewRows
	case limit < 0 || limit > mostRows:
		return "", invalid(fmt.Sprintf("a limit of %d rows", limit), fmt.Sprintf("from 1 to %d", mostRows))
	}
	var ms []M
	query := db.NewSelect().Model(&ms)
	if s.heavy != "" {
		query = query.ExcludeColumn(s.heavy)
	}
	if err := s.where(query, db, q); err != nil {
		return "", err
	}
	key := s.key(db)
	if q.After != "" {
		values, err := s.readCursor(q.After, key)
		if err != nil {
			return "", err
		}
		beyond(query, key, values, q.Newest)
	}
	for _, f := range key {
		if q.Newest {
			query = query.OrderExpr("? DESC", bun.Ident(f.Name))
		} else {
			query = query.OrderExpr("?", bun.Ident(f.Name))
		}
	}
	if err := query.Limit(int64(limit) + 1).Scan(ctx); err != nil {
		return "", err
	}
	next := ""
	if len(ms) > limit {
		ms = ms[:limit]
		next = s.cursor(key, &ms[limit-1])
	}
	rows := make([]R, len(ms))
	for i := range ms {
		rows[i] = s.noun(&ms[i])
	}
	*into.(*[]R) = rows
	return next, nil
}

func invalid(message, fix string) error {
	return &core.Error{Code: core.CodeInvalid, Message: message, Fix: fix}
}

// where narrows query to what q asks for.
func (s *shelf[R, M]) where(query *bun.SelectQuery, db bun.IDB, q core.Query) error {
	switch {
	case q.Tenant == "":
		return invalid("the query names no tenant", "a tenant, or * for all")
	case q.Tenant == core.EveryTenant:
	case s.tenant == "":
		return invalid(fmt.Sprintf("%s rows belong to no tenant", s.title()), "the tenant *")
	default:
		if err := checkText(q.Tenant, "query", "Tenant"); err != nil {
			return err
		}
		query.Where("? = ?", bun.Ident(s.tenant), q.Tenant)
	}
	for _, name := range slices.Sorted(maps.Keys(q.Equal)) {
		column, ok := s.equal[name]
		if !ok {
			return invalid(fmt.Sprintf("%s rows cannot be asked for by this field", s.title()), "one of: "+strings.Join(slices.Sorted(maps.Keys(s.equal)), ", "))
		}
		text := q.Equal[name]
		if err := checkText(text, "query", name); err != nil {
			return err
		}
		value, err := parse(s.meta(db).FieldMap[column], text)
		if err != nil {
			return invalid(fmt.Sprintf("the value of %s is of the wrong type", name), "true, false or a whole number where the field is one")
		}
		query.Where("? = ?", bun.Ident(column), value)
	}
	if s.time == "" && !(q.Since.IsZero() && q.Until.IsZero()) {
		return invalid(fmt.Sprintf("%s rows cannot be asked for by time", s.title()), "a query without Since and Until")
	}
	if !q.Since.IsZero() {
		query.Where("? >= ?", bun.Ident(s.time), momentOf(q.Since))
	}
	if !q.Until.IsZero() {
		query.Where("? < ?", bun.Ident(s.time), momentOf(q.Until))
	}
	return nil
}

// parse reads text as the type of a column.
func parse(f *schema.Field, text string) (any, error) {
	switch f.IndirectType.Kind() {
	case reflect.Bool:
		return strconv.ParseBool(text)
	case reflect.Int, reflect.Int64:
		return strconv.ParseInt(text, 10, 64)
	default:
		return text, nil
	}
}

// beyond narrows query to the rows after those of a key.
func beyond(query *bun.SelectQuery, key []*schema.Field, values []any, newest bool) {
	columns := make([]any, 0, 2*len(key))
	for _, f := range key {
		columns = append(columns, bun.Ident(f.Name))
	}
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(key)), ", ")
	sign := ">"
	if newest {
		sign = "<"
	}
	query.Where("("+marks+") "+sign+" ("+marks+")", append(columns, values...)...)
}

// cursor names a row: its kind and its key.
func (s *shelf[R, M]) cursor(key []*schema.Field, m *M) string {
	text, _ := json.Marshal(append([]any{s.name}, s.values(key, m)...)) // texts and numbers always encode
	return base64.RawURLEncoding.EncodeToString(text)
}

// values are those of some columns.
func (s *shelf[R, M]) values(columns []*schema.Field, m *M) []any {
	values := make([]any, len(columns))
	for i, f := range columns {
		values[i] = f.Value(reflect.ValueOf(m).Elem()).Interface()
	}
	return values
}

func (s *shelf[R, M]) readCursor(cursor string, key []*schema.Field) ([]any, error) {
	wrong := invalid("the cursor is not one of this list", "the cursor of the page before, unchanged")
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return nil, wrong
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var values []any
	if decoder.Decode(&values) != nil || len(values) != len(key)+1 || values[0] != s.name {
		return nil, wrong
	}
	values = values[1:]
	for i, f := range key {
		number, isNumber := values[i].(json.Number)
		text, isText := values[i].(string)
		switch {
		case isNumber && f.IndirectType.Kind() == reflect.Int64:
			if values[i], err = number.Int64(); err != nil {
				return nil, wrong
			}
		case isText && f.IndirectType.Kind() == reflect.String && checkText(text, "cursor", "text") == nil:
		default:
			return nil, wrong
		}
	}
	return values, nil
}
