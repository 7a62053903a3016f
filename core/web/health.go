package web

import (
	"encoding/json"
	"net/netip"
)

// Readiness is what /readyz tells.
type Readiness struct {
	Ready    bool   `json:"ready"`
	Draining bool   `json:"draining"`
	Revision string `json:"revision,omitempty"` // hash of the configuration that is served
	// ReloadError is what was wrong with the documents at the last reload, as JSON;
	// nil = it went well.
	ReloadError json.RawMessage `json:"reloadError,omitempty"`
}

// mayWatch tells whether the caller may learn what is served here: one on this machine,
// or one that the gateway knows and that may.
func (c *call) mayWatch() bool {
	from := c.address()
	if c.edge.watching == nil {
		return true
	}
	if at, err := netip.ParseAddr(from); err == nil && at.IsLoopback() && c.conn.local.IsLoopback() {
		return true
	}
	return c.edge.watching(&c.head, from)
}

// own answers /healthz, /readyz and /metrics.
func (c *call) own() *answer {
	switch c.route.name {
	case "healthz": // alive is whoever answers
		return &answer{status: 200, contentType: "application/json", body: []byte(`{"alive":true}`)}
	case "readyz":
		r := Readiness{Ready: true}
		if c.edge.ready != nil {
			r = c.edge.ready()
		}
		if c.edge.draining.Load() {
			r.Ready, r.Draining = false, true
		}
		if r.ReloadError != nil && !c.mayWatch() {
			r.ReloadError = json.RawMessage(`[]`) // that there are mistakes, and not which
		}
		a := &answer{status: 200, contentType: "application/json"}
		if !r.Ready {
			a.status = 503
		}
		body, err := json.Marshal(r)
		if err != nil { // only when Ready made something up that is no JSON
			return nil
		}
		a.body = body
		return a
	case "metrics":
		if c.edge.metrics != nil && c.mayWatch() {
			body, contentType := c.edge.metrics()
			return &answer{status: 200, contentType: contentType, body: body}
		}
	}
	return nil
}
