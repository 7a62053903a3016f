package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"slices"
	"sync"

	"github.com/sallyport/sallyport/core"
)

// defaultPageSize is the number of items on a page where the document says nothing.
const defaultPageSize = 1000

// viewLimit bounds the views that one list keeps. Views are as many as there are
// different sets of visible items, not as many as callers.
const viewLimit = 256

// list is one list of a server (its tools, say) and the views that callers have of
// it. Items stand in document order.
type list[T any] struct {
	kind   string // tool, prompt, resource
	server *core.Server
	items  []T
	names  []string
	marks  []mark // what cursors hold, one for each item
	size   int
	full   *view[T]

	mu    sync.Mutex
	views map[string]*view[T] // by the set of visible items
}

// mark stands for one item in a cursor: 12 bytes of a hash of its name. It is the
// same after a reload, so a client that pages through a list while it changes goes
// on where it was.
type mark [12]byte

// view is what one set of callers sees of a list, cut into pages. Pages are made
// once, so that their wire forms are too.
type view[T any] struct {
	all   []T
	marks []mark
	size  int
	pages []*core.Page[T]
	after map[mark]int // how many items come up to and with this one
}

func newList[T any](kind string, server *core.Server, items []T, name func(T) string, size int) *list[T] {
	if size <= 0 {
		size = defaultPageSize
	}
	l := &list[T]{kind: kind, server: server, items: items, size: size}
	for _, item := range items {
		n := name(item)
		sum := sha256.Sum256([]byte(kind + "\x00" + n))
		l.names = append(l.names, n)
		l.marks = append(l.marks, mark(sum[:12]))
	}
	l.full = newView(l.items, l.marks, size)
	return l
}

func newView[T any](items []T, marks []mark, size int) *view[T] {
	v := &view[T]{all: items, marks: marks, size: size, after: make(map[mark]int, len(items))}
	for i, m := range marks {
		v.after[m] = i + 1
	}
	for start := 0; start == 0 || start < len(items); start += size {
		v.pages = append(v.pages, v.cut(start))
	}
	return v
}

// cut returns the page that begins at start.
func (v *view[T]) cut(start int) *core.Page[T] {
	end := min(start+v.size, len(v.all))
	page := &core.Page[T]{Items: v.all[start:end:end]}
	if end < len(v.all) {
		next := encodeCursor(v.marks[end-1])
		page.Next = &next
	}
	return page
}

// page returns the page that a cursor names; nil and "" mean the first.
func (v *view[T]) page(cursor *string) (*core.Page[T], error) {
	if cursor == nil || *cursor == "" {
		return v.pages[0], nil
	}
	m, ok := decodeCursor(*cursor)
	start, known := v.after[m]
	if !ok || !known {
		return nil, &core.Error{
			Code: core.CodeInvalid, Message: "cursor is not one that this list gave out",
			Fix: "ask for the list without a cursor to begin again",
		}
	}
	if start%v.size == 0 && start/v.size < len(v.pages) {
		return v.pages[start/v.size], nil
	}
	// The list changed since the cursor was made, so its pages begin elsewhere.
	return v.cut(start), nil
}

const cursorVersion = 1

func encodeCursor(m mark) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{cursorVersion}, m[:]...))
}

func decodeCursor(s string) (mark, bool) {
	var raw [1 + len(mark{})]byte
	if base64.RawURLEncoding.EncodedLen(len(raw)) != len(s) {
		return mark{}, false
	}
	n, err := base64.RawURLEncoding.Strict().Decode(raw[:], []byte(s))
	if err != nil || n != len(raw) || raw[0] != cursorVersion {
		return mark{}, false
	}
	return mark(raw[1:]), true
}

// see returns the view that who has. Callers who see the same items share it.
func (l *list[T]) see(ctx context.Context, allow core.Authorizer, who core.Identity) *view[T] {
	if _, all := allow.(core.AllowAll); all || len(l.items) == 0 {
		return l.full
	}
	set := make([]byte, (len(l.items)+7)/8)
	n := 0
	for i := range l.items {
		if allow.Authorize(ctx, who, core.ActionList, core.Object{
			Kind: l.kind, Tenant: l.server.Tenant, Server: l.server.Name, Name: l.names[i], Open: l.server.Access.Anonymous,
		}) == nil {
			set[i/8] |= 1 << (i % 8)
			n++
		}
	}
	if n == len(l.items) {
		return l.full
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if v := l.views[string(set)]; v != nil {
		return v
	}
	items, marks := make([]T, 0, n), make([]mark, 0, n)
	for i := range l.items {
		if set[i/8]&(1<<(i%8)) != 0 {
			items, marks = append(items, l.items[i]), append(marks, l.marks[i])
		}
	}
	v := newView(items, marks, l.size)
	if l.views == nil || len(l.views) >= viewLimit {
		l.views = map[string]*view[T]{}
	}
	l.views[string(set)] = v
	return v
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
