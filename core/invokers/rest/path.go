package rest

import (
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// pathPlan writes the path of a request: literal text and segments that hold
// arguments. The number of segments never depends on a call.
type pathPlan []pathPart

// pathPart is literal text (with its slashes), or the pieces of one segment.
type pathPart struct {
	literal string
	pieces  []pathPiece
}

// pathPiece is literal text within a segment, or a placement.
type pathPiece struct {
	literal string
	place   *placement
}

// append appends the path for a call.
func (plan pathPlan) append(dst []byte, call *core.Call) ([]byte, error) {
	for i := range plan {
		part := &plan[i]
		dst = append(dst, part.literal...)
		if part.pieces == nil {
			continue
		}
		start := len(dst)
		for j := range part.pieces {
			piece := &part.pieces[j]
			dst = append(dst, piece.literal...)
			if piece.place == nil {
				continue
			}
			value, err := piece.place.value(call)
			if err != nil {
				return dst, err
			}
			if value == nil {
				return dst, refuse("The %s is needed: it is a part of the address.", piece.place.label)
			}
			if dst, err = piece.place.expand(dst, value); err != nil {
				return dst, refuse("The %s %s.", piece.place.label, err)
			}
		}
		switch segment := dst[start:]; {
		case len(segment) == 0:
			return dst, refuse("The %s must not be empty: it is a part of the address.", part.label())
		case climbs(segment):
			return dst, refuse("The %s must not be or hold the path step \".\" or \"..\": it is a part of the address.", part.label())
		}
	}
	return dst, nil
}

func (p *pathPart) label() string {
	for i := range p.pieces {
		if p.pieces[i].place != nil {
			return p.pieces[i].place.label
		}
	}
	return "path"
}

// climbs tells whether a segment is a dot segment, or becomes one in a server that
// decodes %2F (or %5C) before it routes. A slash alone is allowed: it stays one
// segment.
func climbs(segment []byte) bool {
	for start, i := 0, 0; i <= len(segment); i++ {
		end, width := i == len(segment), 1
		if !end && segment[i] == '%' && i+2 < len(segment) {
			a, b := segment[i+1], segment[i+2]|0x20
			if end = a == '2' && b == 'f' || a == '5' && b == 'c'; end {
				width = 3
			}
		}
		if !end {
			continue
		}
		if step := string(segment[start:i]); step == "." || step == ".." {
			return true
		}
		start, i = i+width, i+width-1
	}
	return false
}

// path reads "/books/{id}" and the styles of its variables.
func (r *reader) path(at, text, parametersAt string, parameters []member) pathPlan {
	switch {
	case !strings.HasPrefix(text, "/"):
		r.problem(at, "the path does not begin with /", "write it below the base URL of the connection, like /books/{id}")
		return nil
	case strings.Contains(text, "?"):
		r.problem(at, "the path holds a query", "move what follows ? to query, like query: {format: {value: json}}")
		return nil
	case strings.Contains(text, "#"):
		r.problem(at, "the path holds a fragment (#), which is never sent", "remove it, or write %23")
		return nil
	}
	named := map[string]bool{}
	for i := range parameters {
		named[parameters[i].name] = false
	}
	var plan pathPlan
	literal := ""
	segments := strings.Split(text[1:], "/")
	for i, segment := range segments {
		literal += "/"
		if segment == "" && i < len(segments)-1 {
			r.problem(at, "the path has an empty segment (//)", "remove one /")
			return nil
		}
		if plain, err := url.PathUnescape(segment); err == nil && climbs(appendEscaped(nil, plain, unreserved, false)) {
			r.problem(at, "the path has a dot segment", "write the path without . and ..")
			return nil
		}
		pieces, ok := r.segment(at, segment, parametersAt, parameters, named)
		if !ok {
			return nil
		}
		if len(pieces) == 1 && pieces[0].place == nil {
			literal += pieces[0].literal
			continue
		}
		if len(pieces) > 0 {
			plan = append(plan, pathPart{literal: literal, pieces: pieces})
			literal = ""
		}
	}
	if literal != "" {
		plan = append(plan, pathPart{literal: literal})
	}
	for _, parameter := range parameters {
		if !named[parameter.name] {
			r.problem(parametersAt+"/"+escape(parameter.name), "the path has no {"+parameter.name+"}",
				"name it in path, or move it to query, header or cookie")
		}
	}
	return plan
}

// segment reads one segment of a path.
func (r *reader) segment(at, segment, parametersAt string, parameters []member, named map[string]bool) ([]pathPiece, bool) {
	var pieces []pathPiece
	for segment != "" {
		open := strings.IndexAny(segment, "{}")
		if open < 0 {
			open = len(segment)
		}
		if open > 0 {
			pieces = append(pieces, pathPiece{literal: string(appendLiteral(nil, segment[:open]))})
			segment = segment[open:]
			continue
		}
		end := strings.IndexByte(segment, '}')
		if segment[0] == '}' || end < 0 || strings.IndexByte(segment[1:end], '{') >= 0 {
			r.problem(at, "the path has a { without its }", "write each argument as {name}")
			return nil, false
		}
		name := segment[1:end]
		segment = segment[end+1:]
		if name == "" {
			r.problem(at, "the path has an empty {}", "write the name of an argument between { and }")
			return nil, false
		}
		place := r.pathPlacement(at, name, parametersAt, parameters)
		named[name] = true
		pieces = append(pieces, pathPiece{place: place})
	}
	return pieces, true
}

func (r *reader) pathPlacement(at, name, parametersAt string, parameters []member) *placement {
	escaped := string(appendEscaped(nil, name, unreserved, false))
	for _, parameter := range parameters {
		if parameter.name != name {
			continue
		}
		place := r.placement(parametersAt+"/"+escape(name), "path parameter", name, parameter.raw, pathStyles)
		place.name, place.keep = escaped, unreserved
		return place
	}
	place := &placement{style: pathStyles[0], name: escaped, keep: unreserved}
	place.source = r.argument(at, name, "argument \""+name+"\"")
	return place
}

// appendLiteral appends what people wrote in a path: letters of paths and %XX stay,
// the rest is escaped.
func appendLiteral(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			dst = append(dst, s[i:i+3]...)
			i += 2
			continue
		}
		dst = appendEscaped(dst, s[i:i+1], pathLetter, false)
	}
	return dst
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}
