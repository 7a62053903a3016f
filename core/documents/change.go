package documents

import (
	"slices"
	"sort"
	"strconv"
)

// Op says what happened to a value.
type Op string

// The operations.
const (
	Add     Op = "add"
	Remove  Op = "remove"
	Replace Op = "change"
	Move    Op = "move"
)

// Change is one difference in what two texts mean.
type Change struct {
	// Path is a JSON Pointer in which the items of lists of servers, tools, connections,
	// upstreams, plugins, prompts and arguments stand under their names, and resources under their
	// URIs: /servers/shop/tools/get_book/timeout.
	Path string `json:"path"`
	Op   Op     `json:"op"`
	// Before and After are JSON, cut at 2 KiB (then they end with …); secrets are "***". Of
	// a move they are the places in the list, from 0, or the keys in their order.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// maxChanges bounds how many differences are listed.
const maxChanges = 1000

// keyed are the lists whose items have names. * stands for any name.
var keyed = map[string]string{
	"/servers": "name", "/connections": "name", "/plugins": "name", "/upstreams": "name", "/servers/*/upstreams": "upstream",
	"/servers/*/tools": "name", "/servers/*/prompts": "name", "/servers/*/prompts/*/arguments": "name",
	"/servers/*/resources": "uri", "/servers/*/resourceTemplates": "uriTemplate",
}

// comparison compares two trees.
type comparison struct {
	changes []Change
	left    int // differences that are not listed
}

// compare lists the differences between two documents; nil is one that is not there.
func compare(a, b *node) (changes []Change, left int) {
	c := &comparison{}
	switch {
	case a == nil && b == nil:
	case a == nil:
		c.add(Change{Op: Add, After: b.show()})
	case b == nil:
		c.add(Change{Op: Remove, Before: a.show()})
	default:
		c.values("", "", a, b)
	}
	return c.changes, c.left
}

func (c *comparison) add(change Change) {
	if len(c.changes) >= maxChanges {
		c.left++
		return
	}
	c.changes = append(c.changes, change)
}

func (c *comparison) values(path, pattern string, a, b *node) {
	switch {
	case equal(a, b) && a.hidden == b.hidden:
	case a.open != b.open || a.open == 0 || a.hidden || b.hidden:
		c.add(Change{Path: path, Op: Replace, Before: a.show(), After: b.show()})
	case a.open == '{':
		c.objects(path, pattern, a, b)
	default:
		if key := keyed[pattern]; key != "" {
			if x, y := namesIn(a, key), namesIn(b, key); x != nil && y != nil {
				c.named(path, pattern, x, y, a, b)
				return
			}
		}
		c.lists(path, a, b)
	}
}

func (c *comparison) objects(path, pattern string, a, b *node) {
	before := len(c.changes) + c.left
	for i, key := range a.keys {
		at := path + "/" + escape.Replace(key)
		if other := b.get(key); other != nil {
			c.values(at, pattern+"/"+key, a.items[i], other)
		} else {
			c.add(Change{Path: at, Op: Remove, Before: a.items[i].show()})
		}
	}
	for i, key := range b.keys {
		if a.get(key) == nil {
			c.add(Change{Path: path + "/" + escape.Replace(key), Op: Add, After: b.items[i].show()})
		}
	}
	if len(c.changes)+c.left == before { // not the same, and no member differs: the order does
		c.add(Change{Path: path, Op: Move, Before: order(a.keys), After: order(b.keys)})
	}
}

// order writes keys as a list.
func order(keys []string) string {
	n := &node{open: '['}
	for _, key := range keys {
		n.items = append(n.items, &node{text: string(encode(key))})
	}
	return n.show()
}

// namesIn returns the names of items; nil when one has none or two have the same.
func namesIn(list *node, key string) []string {
	names := make([]string, 0, len(list.items))
	seen := make(map[string]bool, len(list.items))
	for _, item := range list.items {
		name := item.get(key).string()
		if name == "" || seen[name] {
			return nil
		}
		seen[name] = true
		names = append(names, name)
	}
	return names
}

// named compares lists whose items have names.
func (c *comparison) named(path, pattern string, x, y []string, a, b *node) {
	at := func(name string) string { return path + "/" + escape.Replace(name) }
	now := make(map[string]int, len(y))
	for j, name := range y {
		now[name] = j
	}
	was := make(map[string]int, len(x))
	var stayed []int // places in y of what was there before, in the order of x
	for i, name := range x {
		was[name] = i
		if j, there := now[name]; there {
			stayed = append(stayed, j)
		} else {
			c.add(Change{Path: at(name), Op: Remove, Before: a.items[i].show()})
		}
	}
	still := increasing(stayed)
	for j, name := range y {
		i, there := was[name]
		if !there {
			c.add(Change{Path: at(name), Op: Add, After: b.items[j].show()})
			continue
		}
		if !still[j] {
			c.add(Change{Path: at(name), Op: Move, Before: strconv.Itoa(i), After: strconv.Itoa(j)})
		}
		c.values(at(name), pattern+"/*", a.items[i], b.items[j])
	}
}

// increasing returns the members of a longest increasing run within list: what kept its
// order when the others moved.
func increasing(list []int) map[int]bool {
	ends := []int{}                  // ends[n]: index of the smallest end of a run of n+1
	before := make([]int, len(list)) // index of the one before in its run
	for i, value := range list {
		n := sort.Search(len(ends), func(n int) bool { return list[ends[n]] >= value })
		before[i] = -1
		if n > 0 {
			before[i] = ends[n-1]
		}
		if n == len(ends) {
			ends = append(ends, i)
		} else {
			ends[n] = i
		}
	}
	kept := make(map[int]bool, len(ends))
	if len(ends) > 0 {
		for i := ends[len(ends)-1]; i >= 0; i = before[i] {
			kept[list[i]] = true
		}
	}
	return kept
}

// lists compares lists by places, apart from what is the same at both ends.
func (c *comparison) lists(path string, a, b *node) {
	x, y, from := a.items, b.items, 0
	for len(x) > 0 && len(y) > 0 && equal(x[0], y[0]) {
		x, y, from = x[1:], y[1:], from+1
	}
	for len(x) > 0 && len(y) > 0 && equal(x[len(x)-1], y[len(y)-1]) {
		x, y = x[:len(x)-1], y[:len(y)-1]
	}
	if len(x) == len(y) && permuted(x, y) {
		c.add(Change{Path: path, Op: Move, Before: a.show(), After: b.show()})
		return
	}
	at := func(i int) string { return path + "/" + strconv.Itoa(from+i) }
	shared := min(len(x), len(y))
	for i := range shared {
		c.values(at(i), "-", x[i], y[i])
	}
	for i := shared; i < len(x); i++ {
		c.add(Change{Path: at(i), Op: Remove, Before: x[i].show()})
	}
	for i := shared; i < len(y); i++ {
		c.add(Change{Path: at(i), Op: Add, After: y[i].show()})
	}
}

// permuted tells whether two lists hold the same in another order.
func permuted(x, y []*node) bool {
	sums := func(list []*node) []string {
		all := make([]string, len(list))
		for i, one := range list {
			all[i] = string(one.sum[:])
		}
		slices.Sort(all)
		return all
	}
	return len(x) > 1 && slices.Equal(sums(x), sums(y))
}
