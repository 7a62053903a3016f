package selftest

import (
	"testing"

	"github.com/sallyport/sallyport/plugins/guests"
)

func TestMeasure(t *testing.T) {
	s, err := Parse("a.yaml", []byte("cases: [{name: a, call: tool_call, text: x}, {name: b, call: configure}]"))
	if err != nil {
		t.Fatal(err)
	}
	m := about(t, "invoker")
	got, err := Measure(t.Context(), guests.Echo(), m, s, &s.Cases[0], 1000, Options{InProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	if got.Calls != 1000 || got.Statuses["OK"] != 1000 || got.P50 <= 0 || got.P99 < got.P50 || got.Fuel <= 0 || got.Leaks() || got.Peak < got.End || got.End == 0 {
		t.Errorf("%+v", got)
	}
	if _, err := Measure(t.Context(), guests.Trap(), m, s, &s.Cases[0], 10, Options{InProcess: true}); err == nil {
		t.Error("an instance that breaks is measured")
	}
	if _, err := Measure(t.Context(), guests.Echo(), m, s, &s.Cases[1], 10, Options{InProcess: true}); err == nil {
		t.Error("configure is measured")
	}
}

// A guest that grows by a page with each call is found, also when its memory is full
// before half of the calls are made.
func TestLeaks(t *testing.T) {
	s, err := Parse("a.yaml", []byte("cases: [{name: a, call: tool_call, text: x}]"))
	if err != nil {
		t.Fatal(err)
	}
	for _, calls := range []int{100, 1000} {
		got, err := Measure(t.Context(), guests.Grower(), about(t, "invoker"), s, &s.Cases[0], calls, Options{InProcess: true})
		if err != nil {
			t.Fatal(err)
		}
		if !got.Leaks() {
			t.Errorf("%d calls: %+v", calls, got)
		}
	}
}
