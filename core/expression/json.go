package expression

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/core/wire"
)

// AppendJSON appends what Run of either language gives as JSON, names sorted, big
// integers exact. Not-a-number becomes null and an infinity the largest number, as
// in jq. It fails with ErrOutput when it appends more than limit bytes, and with
// ErrDepth.
func AppendJSON(dst []byte, v any, limit int) ([]byte, error) {
	w := writer{dst: dst, end: len(dst) + limit}
	if err := w.value(v, 0); err != nil {
		return dst, err
	}
	return w.dst, nil
}

type writer struct {
	dst []byte
	end int
}

func (w *writer) value(v any, depth int) error {
	if depth > maxDepth {
		return ErrDepth
	}
	switch v := v.(type) {
	case nil:
		w.dst = append(w.dst, "null"...)
	case bool:
		w.dst = strconv.AppendBool(w.dst, v)
	case string:
		if len(v) > w.end-len(w.dst) {
			return ErrOutput
		}
		w.dst = wire.AppendString(w.dst, v)
	case json.Number:
		w.dst = append(w.dst, v...)
	case int:
		w.dst = strconv.AppendInt(w.dst, int64(v), 10)
	case int64:
		w.dst = strconv.AppendInt(w.dst, v, 10)
	case float64:
		w.dst = appendFloat(w.dst, v)
	case *big.Int:
		if v.BitLen() > 1<<16 { // making the text of a huge number takes quadratic time
			return ErrOutput
		}
		w.dst = v.Append(w.dst, 10)
	case []any:
		w.dst = append(w.dst, '[')
		for i := range v {
			if i > 0 {
				w.dst = append(w.dst, ',')
			}
			if err := w.value(v[i], depth+1); err != nil {
				return err
			}
		}
		w.dst = append(w.dst, ']')
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		w.dst = append(w.dst, '{')
		for i, name := range names {
			if i > 0 {
				w.dst = append(w.dst, ',')
			}
			w.dst = append(wire.AppendString(w.dst, name), ':')
			if err := w.value(v[name], depth+1); err != nil {
				return err
			}
		}
		w.dst = append(w.dst, '}')
	case time.Time:
		w.dst = append(v.AppendFormat(append(w.dst, '"'), time.RFC3339Nano), '"')
	case time.Duration:
		w.dst = wire.AppendString(w.dst, v.String())
	default:
		return w.other(reflect.ValueOf(v), depth)
	}
	if len(w.dst) > w.end {
		return ErrOutput
	}
	return nil
}

// other writes the types that only expr makes: []string, []int, map[string]string …
func (w *writer) other(v reflect.Value, depth int) error {
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = v.Index(i).Interface()
		}
		return w.value(list, depth)
	case reflect.Map:
		object := make(map[string]any, v.Len())
		for _, key := range v.MapKeys() {
			object[fmt.Sprint(key.Interface())] = v.MapIndex(key).Interface()
		}
		return w.value(object, depth)
	case reflect.String:
		return w.value(v.String(), depth)
	case reflect.Bool:
		return w.value(v.Bool(), depth)
	}
	switch {
	case v.CanInt():
		return w.value(v.Int(), depth)
	case v.CanUint():
		w.dst = strconv.AppendUint(w.dst, v.Uint(), 10)
		return nil
	case v.CanFloat():
		return w.value(v.Float(), depth)
	}
	return fmt.Errorf("a value of type %s has no JSON", v.Type())
}

func appendFloat(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "null"...)
	case math.IsInf(f, 1):
		f = math.MaxFloat64
	case math.IsInf(f, -1):
		f = -math.MaxFloat64
	}
	format := byte('f')
	if size := math.Abs(f); size != 0 && (size < 1e-6 || size >= 1e17) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, 64)
}
