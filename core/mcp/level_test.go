package mcp

import (
	"encoding/json"
	"testing"
)

// A session begins with a log level that nobody asked for; a call says so until the client
// sets one.
func TestLogLevelIsUsualUntilAsked(t *testing.T) {
	s := NewSession("s", Claims{Revision: "2025-11-25"}, Limits{})
	defer s.Close()
	for i, tt := range []struct{ set, level string }{{"", "info"}, {"info", "info"}, {"error", "error"}} {
		if tt.set != "" {
			s.setLevel(tt.set)
		}
		x := &exchange{}
		if f := s.start(&running{id: json.RawMessage{byte('1' + i)}}, x); f != nil {
			t.Fatal(f)
		}
		if x.level != tt.level || x.usual != (tt.set == "") {
			t.Errorf("%+v: %q, usual %v", tt, x.level, x.usual)
		}
	}
}
