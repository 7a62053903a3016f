package web

import (
	"encoding/json"
	"errors"
	"net"

	"github.com/valyala/fasthttp"
)

// refusal is an answer of the edge itself, before or instead of an Endpoint's.
type refusal struct {
	status  int
	message string
	fix     string
	retry   bool   // send Retry-After
	allow   string // the Allow header
	close   bool   // the connection is not to be trusted any more
}

// The refusals that say nothing of the request.
var (
	refuseHead     = &refusal{status: 431, message: "the request head is too large", fix: "send fewer or shorter headers", close: true}
	refuseFields   = &refusal{status: 431, message: "the request has too many headers", fix: "send fewer headers", close: true}
	refuseBody     = &refusal{status: 413, message: "the request body is too large", fix: "send a smaller body", close: true}
	refuseUpload   = &refusal{status: 413, message: "the request body is too large", fix: "send a smaller body; routes that take large ones take them of callers who may use them: check the token or login", close: true}
	refuseSlow     = &refusal{status: 408, message: "the request did not arrive in time", fix: "send head and body without pauses", close: true}
	refuseSyntax   = &refusal{status: 400, message: "the request is not valid HTTP/1.1", fix: "send a request that follows RFC 9112", close: true}
	refuseLine     = &refusal{status: 400, message: "a header line is not valid", fix: "send name, colon, value and CR LF, on one line each", close: true}
	refuseTarget   = &refusal{status: 400, message: "the request target is not valid", fix: "send a path that begins with /", close: true}
	refuseVersion  = &refusal{status: 505, message: "this HTTP version is not spoken here", fix: "send HTTP/1.1", close: true}
	refuseHosts    = &refusal{status: 400, message: "the request has more than one Host header", fix: "send one", close: true}
	refuseTwice    = &refusal{status: 400, message: "a header that may come once came twice", fix: "send it once", close: true}
	refuseLength   = &refusal{status: 400, message: "the Content-Length is not a number", fix: "send digits only", close: true}
	refuseCoding   = &refusal{status: 400, message: "the Transfer-Encoding is not known", fix: "send Content-Length, or chunked alone", close: true}
	refuseFraming  = &refusal{status: 400, message: "the length of the body is given in two ways", fix: "send either Content-Length or Transfer-Encoding, once", close: true}
	refuseForeign  = &refusal{status: 400, message: "the request target names another host than the Host header", fix: "send a path, or the same host in both", close: true}
	refuseHost     = &refusal{status: 403, message: "this Host is not allowed", fix: "call the address the gateway listens on, or add the name to the allowed hosts in its settings"}
	refuseOrigin   = &refusal{status: 403, message: "this Origin is not allowed", fix: "add the origin to the allowed origins in the settings, or to cors.origins of the server"}
	refusePath     = &refusal{status: 404, message: "there is nothing here", fix: "MCP servers are at /{prefix}/mcp; check the prefix, its case and its slashes"}
	refuseEncoded  = &refusal{status: 415, message: "an encoded request body is not accepted", fix: "send the body without Content-Encoding"}
	refuseBusy     = &refusal{status: 503, message: "too many requests are being answered", fix: "try again later", retry: true}
	refuseStreams  = &refusal{status: 503, message: "too many streams are open", fix: "close streams that are not needed, or try again later", retry: true}
	refuseDraining = &refusal{status: 503, message: "the gateway is stopping", fix: "try again", retry: true, close: true}
	refuseMethod   = &refusal{status: 405, message: "this method is not allowed here", allow: "GET, HEAD, OPTIONS"}
	refuseBroken   = &refusal{status: 500, message: "internal error", fix: "look for the request id in the gateway's log"}
	refuseSilence  = &refusal{status: 500, message: "the request got no answer", fix: "look for the request id in the gateway's log"}
)

// body returns {"error": …, "fix": …}.
func (r *refusal) body() []byte {
	b, err := json.Marshal(struct {
		Error string `json:"error"`
		Fix   string `json:"fix,omitempty"`
	}{r.message, r.fix})
	if err != nil {
		return []byte(`{"error":"internal error"}`)
	}
	return b
}

// misread finds the refusal for a request that fasthttp could not read.
func misread(err error) *refusal {
	var small *fasthttp.ErrSmallBuffer
	var timeout net.Error
	switch {
	case errors.As(err, &small):
		return refuseHead
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		return refuseBody
	case errors.As(err, &timeout) && timeout.Timeout():
		return refuseSlow
	}
	return refuseSyntax
}
