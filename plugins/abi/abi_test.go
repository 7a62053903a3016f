package abi

import (
	"math"
	"strings"
	"testing"
)

func TestStatus(t *testing.T) {
	tests := []struct {
		in    Status
		known Status
		name  string
	}{
		{OK, OK, "ok"},
		{Unchanged, Unchanged, "unchanged"},
		{Internal, Internal, "internal"},
		{8, Internal, "internal"},
		{math.MaxUint16, Internal, "internal"},
	}
	for _, tt := range tests {
		if tt.in.Known() != tt.known || tt.in.String() != tt.name {
			t.Errorf("%d: %d %q", tt.in, tt.in.Known(), tt.in.String())
		}
	}
}

func TestErrorName(t *testing.T) {
	for code, want := range map[int64]string{ErrDenied: "denied", ErrConflict: "conflict", 0: "error", 1: "error", -9: "error", math.MinInt64: "error"} {
		if got := ErrorName(code); got != want {
			t.Errorf("%d: %q, want %q", code, got, want)
		}
	}
}

func TestPack(t *testing.T) {
	for _, tt := range [][2]uint32{{0, 0}, {1, 2}, {math.MaxUint32, 0}, {0, math.MaxUint32}, {math.MaxUint32, math.MaxUint32}} {
		if ptr, size := Unpack(Pack(tt[0], tt[1])); ptr != tt[0] || size != tt[1] {
			t.Errorf("%v became %d %d", tt, ptr, size)
		}
	}
}

func TestImports(t *testing.T) {
	seen := map[string]bool{}
	for _, i := range Imports {
		if seen[i.Name] {
			t.Errorf("%s stands twice", i.Name)
		}
		seen[i.Name] = true
		if strings.Trim(i.Params+i.Results, "ild") != "" {
			t.Errorf("%s: unknown value type in %q %q", i.Name, i.Params, i.Results)
		}
		if got, ok := FindImport(i.Name); !ok || got != i {
			t.Errorf("FindImport(%s) = %v %v", i.Name, got, ok)
		}
	}
	if _, ok := FindImport(Yield); ok {
		t.Error("a plugin must not import yield by itself")
	}
}
