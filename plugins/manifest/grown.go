package manifest

import "slices"

// Grown returns in words what a new version may do that the old one may not: reach
// more, see more of a call, stand at another place of the path, or fail in a weaker
// way. Empty means that the new version may take the place of the old one without
// anybody's approval; old == nil means that everything is next.
//
// Asking for less, or for another limit, is no growth: limits only lower what the
// operator gives.
func Grown(old, next *Manifest) []string {
	if old == nil {
		old = &Manifest{OnError: OnErrorClosed, Isolation: next.Isolation}
	}
	var grown []string
	for _, k := range next.Kinds {
		if !old.Is(k) {
			grown = append(grown, "kind: be used as "+string(k))
		}
	}
	for _, key := range next.Context {
		if !slices.Contains(old.Context, key) {
			grown = append(grown, "context: see "+key+" of every call")
		}
	}
	_, more := next.Capabilities.Within(old.Capabilities)
	grown = append(grown, more...)
	if next.OnError == OnErrorSkip && old.OnError != OnErrorSkip {
		grown = append(grown, "on_error: let a result through untouched when it fails")
	}
	if old.Isolation == IsolationCall && next.Isolation != IsolationCall {
		grown = append(grown, "isolation: keep memory from one call to the next")
	}
	return grown
}
