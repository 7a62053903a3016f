package mcp

import (
	"container/list"
	"sync"
)

// ring keeps the last events of a session, bounded in number and bytes.
type ring struct {
	events []event
	bytes  int
}

type event struct {
	trail *trail
	seq   int
	frame []byte
}

// add puts e in and returns what fell out for it.
func (r *ring) add(e event, count, size int) (evicted []event) {
	if len(e.frame) > size {
		return nil // it alone would push everything else out
	}
	r.events = append(r.events, e)
	r.bytes += len(e.frame)
	n := 0
	for len(r.events)-n > count || r.bytes > size {
		r.bytes -= len(r.events[n].frame)
		n++
	}
	if n > 0 {
		evicted = append(evicted, r.events[:n]...)
		clear(r.events[:n]) // let go of the frames
		r.events = r.events[n:]
	}
	return evicted
}

// replays bounds what the rings of all sessions hold together. The session that
// streamed longest ago gives its ring up first: its client is the least likely to
// come back for it.
type replays struct {
	limit int

	mu    sync.Mutex
	bytes int
	order list.List // of *holding, the oldest first
	held  map[*Session]*list.Element
}

type holding struct {
	session *Session
	bytes   int
}

// hold notes that a session's ring now has that many bytes, and empties the rings
// of others until all fit. It is called without the session's lock.
func (r *replays) hold(s *Session, bytes int) {
	for _, victim := range r.note(s, bytes) {
		victim.dropRing()
	}
}

func (r *replays) note(s *Session, bytes int) (victims []*Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	element := r.held[s]
	if element == nil {
		if bytes == 0 {
			return nil
		}
		if r.held == nil {
			r.held = map[*Session]*list.Element{}
		}
		element = r.order.PushBack(&holding{session: s})
		r.held[s] = element
	}
	h := element.Value.(*holding)
	r.bytes += bytes - h.bytes
	h.bytes = bytes
	if bytes == 0 {
		r.order.Remove(element)
		delete(r.held, s)
		return nil
	}
	r.order.MoveToBack(element)
	for r.bytes > r.limit && r.order.Len() > 1 {
		front := r.order.Front()
		oldest := front.Value.(*holding)
		r.bytes -= oldest.bytes
		r.order.Remove(front)
		delete(r.held, oldest.session)
		victims = append(victims, oldest.session)
	}
	return victims
}
