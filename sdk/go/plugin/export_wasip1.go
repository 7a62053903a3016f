//go:build wasip1

package plugin

import (
	"unsafe"

	"github.com/sallyport/sallyport/sdk/go/internal/host"
)

// input is the buffer that the host writes frames to. The host keeps its address;
// it lives until a larger one is asked for.
var input []byte

//go:wasmexport sallyport_abi_v1
func exportMarker() {}

//go:wasmexport sallyport_alloc
func exportAlloc(size uint32) uint32 {
	if size == 0 || size > maxFrame+1024 {
		return 0
	}
	input = nil // so that a collection can take it before the next one is made
	input = make([]byte, size)
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(input))))
}

//go:wasmexport sallyport_configure
func exportConfigure(ptr, size uint32) uint64 { return export(host.Configure, ptr, size) }

//go:wasmexport sallyport_tool_call
func exportToolCall(ptr, size uint32) uint64 { return export(host.ToolCall, ptr, size) }

//go:wasmexport sallyport_tools_list
func exportToolsList(ptr, size uint32) uint64 { return export(host.ToolsList, ptr, size) }

//go:wasmexport sallyport_response_transform
func exportResponseTransform(ptr, size uint32) uint64 {
	return export(host.ResponseTransform, ptr, size)
}

//go:wasmexport sallyport_request_transform
func exportRequestTransform(ptr, size uint32) uint64 {
	return export(host.RequestTransform, ptr, size)
}

//go:wasmexport sallyport_authorize
func exportAuthorize(ptr, size uint32) uint64 { return export(host.Authorize, ptr, size) }

// export returns where the answer is and how long, or 0 when the frame does not lie
// in the input buffer.
func export(name string, ptr, size uint32) uint64 {
	if uint32(uintptr(unsafe.Pointer(unsafe.SliceData(input)))) != ptr || uint64(size) > uint64(len(input)) {
		return 0
	}
	b := answer(name, input[:size])
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b))))<<32 | uint64(len(b))
}
