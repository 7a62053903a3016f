package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// path leads from the data of an answer to the part that is the result:
//
//	country.capital           members
//	users[0].name             one element
//	search.edges[].node       every element
//
// What is not there is null, and falls out of a list.
type path []step

type step struct {
	member string
	index  int
	sort   byte // m member, i index, e each
}

func parsePath(s string) (path, error) {
	var p path
	for i, part := range strings.Split(s, ".") {
		if s == "" {
			return nil, nil
		}
		name, brackets, _ := strings.Cut(part, "[")
		if name == "" && (i > 0 || brackets == "") {
			return nil, errors.New(strconv.Quote(s) + " has a part without a name: write it as in country.capital or search.edges[].node")
		}
		if name != "" {
			p = append(p, step{member: name, sort: 'm'})
		}
		for brackets != "" {
			inside, rest, closed := strings.Cut(brackets, "]")
			next, more := strings.CutPrefix(rest, "[")
			if !closed || rest != "" && !more {
				return nil, errors.New(strconv.Quote(s) + " has a bracket that does not close")
			}
			if brackets = next; more && next == "" {
				return nil, errors.New(strconv.Quote(s) + " has a bracket that does not close")
			}
			if inside == "" {
				p = append(p, step{sort: 'e'})
				continue
			}
			n, err := strconv.ParseUint(inside, 10, 16)
			if err != nil {
				return nil, errors.New(strconv.Quote(inside) + " is no index: write [0], or [] for every element")
			}
			p = append(p, step{index: int(n), sort: 'i'})
		}
	}
	return p, nil
}

var null = json.RawMessage("null")

// of returns the part of a JSON value that the path leads to.
func (p path) of(raw json.RawMessage) json.RawMessage {
	raw = bytes.TrimSpace(raw)
	if len(p) == 0 {
		return raw
	}
	if p[0].sort == 'm' {
		found := null
		if len(raw) > 0 && raw[0] == '{' {
			_ = members(raw, func(name string, value json.RawMessage) {
				if name == p[0].member {
					found = value
				}
			})
		}
		return p[1:].of(found)
	}
	var list []json.RawMessage
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		return null
	}
	if p[0].sort == 'i' {
		if p[0].index >= len(list) {
			return null
		}
		return p[1:].of(list[p[0].index])
	}
	out := []byte{'['}
	for _, element := range list {
		v := p[1:].of(element)
		if bytes.Equal(v, null) {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, v...)
	}
	return append(out, ']')
}
