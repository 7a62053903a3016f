package rewrite

import "slices"

// plan is what Instrument does to one function.
type plan struct {
	charge int // units of fuel at entry; 0 = none: the caller's instruction pays for all of it
	price  int // what a call of it costs its caller, in cheap instructions
	stack  int // bytes taken from the stack counter at entry; 0 = not counted
}

const (
	// smallCost is the cost up to which a function without loops is paid by its
	// caller.
	smallCost = 64
	// freeStack is how much stack a chain of functions may take that are not counted,
	// in bytes.
	freeStack = 64 << 10
)

// graph is who calls whom. Its nodes are the defined functions, then one node for
// each type that call_indirect names: an edge into a type leads on to every
// function of that type that a reference may exist to.
type graph struct {
	p       *parsed
	edges   [][]uint32
	order   []uint32 // nodes, callees before callers
	group   []uint32 // by node: its strongly connected component
	cyclic  []bool   // by component
	typeOf  []uint32 // by type index: the first equal type
	targets map[uint32]uint32
}

// plans decides for each defined function.
func (p *parsed) plans(o Options) []plan {
	g := p.graph()
	plans := make([]plan, len(p.bodies))
	need := make([]int, len(g.edges)) // stack of a node and what it calls that is not counted
	at := 0
	for at < len(g.order) {
		first := at
		component := g.group[g.order[first]]
		for at < len(g.order) && g.group[g.order[at]] == component {
			at++
		}
		members := g.order[first:at]
		cyclic := g.cyclic[component]
		for _, n := range members {
			below := 0
			for _, callee := range g.edges[n] {
				if g.group[callee] != component {
					below = max(below, need[callee])
				} else if int(callee) >= len(plans) {
					// A type of this cycle: what it leads to outside of the cycle.
					for _, f := range g.edges[callee] {
						if g.group[f] != component {
							below = max(below, need[f])
						}
					}
				}
			}
			if int(n) >= len(plans) {
				if !cyclic {
					need[n] = below
				}
				continue
			}
			b := &p.bodies[n]
			stack := b.frame + below
			if cyclic || stack > freeStack {
				plans[n].stack = stack
			} else {
				need[n] = stack
			}
			if cyclic || !p.small(b, plans) {
				plans[n].charge = 1
				plans[n].price = 4
			} else {
				plans[n].price = p.whole(b, plans)
			}
		}
	}
	for i := range plans {
		if !o.Depth {
			plans[i].stack = 0
		}
		if !o.Fuel {
			plans[i].charge = 0
		}
	}
	return plans
}

// small reports that a function outside of any cycle does so little that its
// callers pay for it.
func (p *parsed) small(b *body, plans []plan) bool {
	if b.loops || b.bulk || len(b.indirect) > 0 || b.cost > smallCost {
		return false
	}
	for _, f := range b.callees {
		if int(f) < p.importedFunctions || plans[int(f)-p.importedFunctions].charge > 0 {
			return false
		}
	}
	return p.whole(b, plans) <= smallCost
}

// whole returns the cost of a small function with its callees.
func (p *parsed) whole(b *body, plans []plan) int {
	cost := b.cost
	for _, f := range b.callees {
		cost += plans[int(f)-p.importedFunctions].price
	}
	return cost
}

func (p *parsed) graph() *graph {
	g := &graph{p: p, edges: make([][]uint32, len(p.bodies), len(p.bodies)+8), targets: map[uint32]uint32{}}
	g.canonical()
	for i := range p.bodies {
		b := &p.bodies[i]
		edges := make([]uint32, 0, len(b.callees)+len(b.indirect))
		for _, f := range b.callees {
			if int(f) >= p.importedFunctions {
				edges = append(edges, f-uint32(p.importedFunctions))
			}
		}
		for _, t := range b.indirect {
			edges = append(edges, g.node(g.typeOf[t]))
		}
		slices.Sort(edges)
		g.edges[i] = slices.Compact(edges)
	}
	for f, is := range p.referenced {
		if f < p.importedFunctions || !is {
			continue
		}
		if n, ok := g.targets[g.typeOf[p.functions[f]]]; ok {
			g.edges[n] = append(g.edges[n], uint32(f-p.importedFunctions))
		}
	}
	g.components()
	return g
}

// canonical finds for each type the first that is equal: call_indirect compares
// types by what they are.
func (g *graph) canonical() {
	first := make(map[string]uint32, len(g.p.types))
	g.typeOf = make([]uint32, len(g.p.types))
	var key []byte
	for i, t := range g.p.types {
		key = key[:0]
		for _, v := range t.Params {
			key = append(key, byte(v))
		}
		key = append(key, 0)
		for _, v := range t.Results {
			key = append(key, byte(v))
		}
		n, ok := first[string(key)]
		if !ok {
			n = uint32(i)
			first[string(key)] = n
		}
		g.typeOf[i] = n
	}
}

// node returns the node of a type, and makes it when it is new.
func (g *graph) node(t uint32) uint32 {
	n, ok := g.targets[t]
	if !ok {
		n = uint32(len(g.edges))
		g.targets[t] = n
		g.edges = append(g.edges, nil)
	}
	return n
}

// components is Tarjan's algorithm, without recursion: a guest chooses how deep
// the graph is.
func (g *graph) components() {
	n := len(g.edges)
	g.group = make([]uint32, n)
	g.order = make([]uint32, 0, n)
	index, low := make([]uint32, n), make([]uint32, n) // 0 = not seen
	on := make([]bool, n)
	type visit struct {
		node uint32
		edge int
	}
	var open []visit
	var stack []uint32
	next := uint32(1)
	enter := func(v uint32) {
		index[v], low[v] = next, next
		next++
		stack = append(stack, v)
		on[v] = true
		open = append(open, visit{node: v})
	}
	for root := range n {
		if index[root] != 0 {
			continue
		}
		enter(uint32(root))
		for len(open) > 0 {
			top := &open[len(open)-1]
			v := top.node
			if top.edge < len(g.edges[v]) {
				w := g.edges[v][top.edge]
				top.edge++
				if index[w] == 0 {
					enter(w)
				} else if on[w] {
					low[v] = min(low[v], index[w])
				}
				continue
			}
			open = open[:len(open)-1]
			if len(open) > 0 {
				parent := open[len(open)-1].node
				low[parent] = min(low[parent], low[v])
			}
			if low[v] != index[v] {
				continue
			}
			component := uint32(len(g.cyclic))
			size := 0
			for {
				w := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				on[w] = false
				g.group[w] = component
				g.order = append(g.order, w)
				size++
				if w == v {
					break
				}
			}
			g.cyclic = append(g.cyclic, size > 1 || slices.Contains(g.edges[v], v))
		}
	}
}
