// Package host is the edge of the guest: the imports and exports of ABI v1. Built
// for wasip1 its functions are the imports themselves; built for anything else
// they ask the Host that a test has set, so that a plugin runs natively under
// plugintest through the very code that runs in the gateway.
//
//	plugin ──► host.KVGet ──► wasip1: import sallyport_v1.kv_get
//	                     └──► native: Fake.KVGet (plugintest)
//
// Every import is a function of its own that only those plugin methods call that
// need it. The Go linker drops what nobody calls, so the import section of a
// plugin lists the capabilities that it uses, and no others.
package host

// Names of exports that answer calls.
const (
	Configure         = "sallyport_configure"
	ToolCall          = "sallyport_tool_call"
	ToolsList         = "sallyport_tools_list"
	ResponseTransform = "sallyport_response_transform"
	RequestTransform  = "sallyport_request_transform"
	Authorize         = "sallyport_authorize"
)

// Negative returns of imports.
const (
	Denied      = -1
	NotFound    = -2
	Invalid     = -3
	TooLarge    = -4
	Timeout     = -5
	Unavailable = -6
	Quota       = -7
	Conflict    = -8
)
