package upstream

import (
	"encoding/json"
	"strconv"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// The keys of the protocol in _meta (2026-07-28, basic/index).
const (
	metaRevision     = "io.modelcontextprotocol/protocolVersion"
	metaClient       = "io.modelcontextprotocol/clientInfo"
	metaCapabilities = "io.modelcontextprotocol/clientCapabilities"
	metaLevel        = "io.modelcontextprotocol/logLevel"
	metaServer       = "io.modelcontextprotocol/serverInfo"
	metaSubscription = "io.modelcontextprotocol/subscriptionId"
)

// appendMeta appends the member _meta of a request's params: what the client sent, but
// what belongs to its own conversation, and what belongs to this one. call is nil for
// requests of ours.
func (r *request) appendMeta(dst []byte, rev *revision, call *core.Call) []byte {
	mark := len(dst)
	dst = append(put(dst, "_meta"), '{')
	empty := len(dst)
	if call != nil && wire.IsObject(call.Meta) {
		sent := len(dst)
		if err := wire.Fields(call.Meta, func(name string, v json.RawMessage) error {
			switch name {
			case "progressToken", metaRevision, metaClient, metaCapabilities, metaLevel, metaServer, metaSubscription:
			default:
				dst = putRaw(dst, name, v)
			}
			return nil
		}); err != nil {
			dst = dst[:sent]
		}
	}
	if rev.Envelope {
		dst = putString(dst, metaRevision, rev.Name)
		about, can := r.k.c.about, json.RawMessage(nil)
		if call != nil {
			can = call.Client.Capabilities
			if wire.IsObject(call.Client.Info) {
				about = call.Client.Info
			}
		}
		dst = putRaw(dst, metaClient, about)
		dst = modernCapabilities(put(dst, metaCapabilities), can)
		if call != nil && severity(call.LogLevel) >= 0 {
			dst = putString(dst, metaLevel, call.LogLevel)
		}
	}
	if call != nil && call.Progress {
		dst = strconv.AppendInt(put(dst, "progressToken"), r.id, 10)
	}
	if len(dst) == empty {
		return dst[:mark]
	}
	return append(dst, '}')
}

// standard sets the headers that mirror the body, where the revision and the transport
// have them.
func (r *request) standard(rev *revision, name string) {
	if !rev.Envelope {
		return
	}
	if _, over := r.k.link.(*streamable); !over {
		return
	}
	r.header = append(r.header, core.Field{Name: headerMethod, Value: r.method})
	if name != "" {
		r.header = append(r.header, core.Field{Name: headerName, Value: headerValue(name)})
	}
}

// ask sends a request of ours: params are what stands in its params, without the braces.
func (k *conn) ask(r *request, params []byte) []byte {
	rev := k.rev.Load()
	r.standard(rev, "")
	dst := append([]byte{'{'}, params...)
	return append(r.appendMeta(dst, rev, nil), '}')
}
