package abi

// Names of host functions in Module.
const (
	Log      = "log"
	Read     = "read"
	Config   = "config"
	HTTP     = "http"
	KVGet    = "kv_get"
	KVSet    = "kv_set"
	KVDelete = "kv_delete"
	KVList   = "kv_list"
	Secret   = "secret"
	Metric   = "metric"
	Progress = "progress"
	CallTool = "call_tool"

	// Yield is imported by the load-time rewriter only: a plugin that imports it
	// by itself is refused.
	Yield = "yield"
)

// Names of capabilities: what a manifest asks for and an operator grants.
const (
	CapHTTP     = "http"
	CapKV       = "kv"
	CapSecrets  = "secrets"
	CapProgress = "progress"
	CapCallTool = "call_tool"
)

// Import is one host function. Params and Results spell value types with one
// letter each: i = i32, l = i64, d = f64.
type Import struct {
	Name, Params, Results string
	Capability            string // "" = always linked
}

// Imports lists the host functions of Module, Yield excepted.
//
// Functions that end in (dst, cap) copy their result to dst if it fits in cap
// bytes and return its length either way; a result that did not fit waits in the
// pending slot, from which `read` copies pieces, until the next such call. http,
// call_tool and kv_list put a frame there and copy nothing.
//
//	log(level, ptr, len)
//	read(dst, off, cap) -> i32                   bytes copied from the slot; 0 = past its end
//	config(kptr, klen, dst, cap) -> i64          one value of the configuration, JSON; an empty key = all of it
//	http(ptr, len) -> i64                        frame in: pairs ":method", ":url", then headers; payload = body
//	                                             slot: frame out: status = HTTP status, headers, payload = body
//	kv_get(kptr, klen, dst, cap) -> i64          u64 version, then the value
//	kv_set(kptr, klen, vptr, vlen, ttl, version) -> i64   ttl in ms, 0 = for ever; version 0 = must not exist, -1 = any;
//	                                             returns the new version, > 0
//	kv_delete(kptr, klen, version) -> i64        version -1 = any; returns 0
//	kv_list(pptr, plen, aptr, alen) -> i64       keys with prefix p after key a, sorted, at most MaxPairs;
//	                                             slot: frame in: pair key → version in decimal
//	secret(nptr, nlen, dst, cap) -> i64
//	metric(nptr, nlen, kind, value)
//	progress(ptr, len)                           frame in: pairs "progress", "total" (decimal); payload = message text
//	call_tool(ptr, len) -> i64                   frame in: pair "tool"; payload = arguments JSON
//	                                             slot: frame out: a Status, payload = CallToolResult JSON
var Imports = [...]Import{
	{Log, "iii", "", ""},
	{Read, "iii", "i", ""},
	{Config, "iiii", "l", ""},
	{HTTP, "ii", "l", CapHTTP},
	{KVGet, "iiii", "l", CapKV},
	{KVSet, "iiiill", "l", CapKV},
	{KVDelete, "iil", "l", CapKV},
	{KVList, "iiii", "l", CapKV},
	{Secret, "iiii", "l", CapSecrets},
	{Metric, "iiid", "", ""},
	{Progress, "ii", "", CapProgress},
	{CallTool, "ii", "l", CapCallTool},
}

// FindImport returns the host function of that name.
func FindImport(name string) (Import, bool) {
	for _, i := range &Imports {
		if i.Name == name {
			return i, true
		}
	}
	return Import{}, false
}

// Keys of the pairs that http, progress and call_tool read.
const (
	HTTPMethod       = ":method"
	HTTPURL          = ":url"
	ProgressProgress = "progress"
	ProgressTotal    = "total"
	CallToolTool     = "tool"
)
