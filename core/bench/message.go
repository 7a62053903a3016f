package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
)

const modern, legacy = "2026-07-28", "2025-11-25"

// envelope is what every modern request carries in _meta.
const envelope = `"_meta":{"io.modelcontextprotocol/protocolVersion":"` + modern + `","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`

// post makes an HTTP request of a JSON-RPC message. name is what Mcp-Name mirrors.
func post(host, path, method, name, session, body string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n", path, host)
	switch {
	case session != "":
		fmt.Fprintf(&b, "MCP-Protocol-Version: %s\r\nMcp-Session-Id: %s\r\n", legacy, session)
	case method != "initialize":
		fmt.Fprintf(&b, "MCP-Protocol-Version: %s\r\nMcp-Method: %s\r\n", modern, method)
		if name != "" {
			fmt.Fprintf(&b, "Mcp-Name: %s\r\n", name)
		}
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	return b.Bytes()
}

// carrying adds a token to a request.
func carrying(request []byte, bearer string) []byte {
	if bearer == "" {
		return request
	}
	line, rest, _ := bytes.Cut(request, []byte("\r\n"))
	return fmt.Appendf(nil, "%s\r\nAuthorization: Bearer %s\r\n%s", line, bearer, rest)
}

// call is a tools/call of one string argument, id.
func call(host, server, tool, id, session string) []byte {
	meta := envelope + ","
	if session != "" {
		meta = ""
	}
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{%s"name":%q,"arguments":{"id":%q}}}`, meta, tool, id)
	return post(host, "/"+server+"/mcp", "tools/call", tool, session, body)
}

// list is a tools/list.
func list(host, server string) []byte {
	return post(host, "/"+server+"/mcp", "tools/list", "", "", `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{`+envelope+`}}`)
}

// initialize opens a session of 2025-11-25.
func initialize(host, server string) []byte {
	body := `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"` + legacy + `","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`
	return post(host, "/"+server+"/mcp", "initialize", "", "", body)
}

// plain is the same request to a proxy, or to the backend itself.
func plain(host, id string) []byte {
	return fmt.Appendf(nil, "GET /books/%s HTTP/1.1\r\nHost: %s\r\nAccept: application/json\r\n\r\n", id, host)
}

// answer is what readAnswer found; the slices live until the next call.
type answer struct {
	status  int
	session string
	body    []byte
}

var errAnswer = errors.New("the answer is not one this generator reads: status line, and Content-Length or chunks")

// readAnswer reads one answer with a Content-Length or in chunks, in as few steps as it
// takes: the generator must cost less than what it measures.
func readAnswer(r *bufio.Reader, a *answer) error {
	a.status, a.session = 0, ""
	length, chunked := -1, false
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if a.status == 0 {
			if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
				return errAnswer
			}
			if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
				return errAnswer
			}
			continue
		}
		if len(line) == 0 {
			break
		}
		if value, found := field(line, "content-length:"); found {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return errAnswer
			}
		} else if value, found := field(line, "mcp-session-id:"); found {
			a.session = string(value)
		} else if value, found := field(line, "transfer-encoding:"); found {
			chunked = string(value) == "chunked"
		}
	}
	if chunked {
		return readChunks(r, a)
	}
	if length < 0 {
		if a.status != 202 && a.status != 204 {
			return errAnswer
		}
		length = 0
	}
	if cap(a.body) < length {
		a.body = make([]byte, length)
	}
	a.body = a.body[:length]
	_, err := io.ReadFull(r, a.body)
	return err
}

// readChunks reads a body without trailers (RFC 9112 section 7.1).
func readChunks(r *bufio.Reader, a *answer) error {
	a.body = a.body[:0]
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, err := strconv.ParseUint(string(bytes.TrimRight(line, "\r\n")), 16, 24)
		if err != nil {
			return errAnswer
		}
		have := len(a.body)
		a.body = slices.Grow(a.body, int(size)+2)[:have+int(size)+2]
		if _, err := io.ReadFull(r, a.body[have:]); err != nil {
			return err
		}
		if a.body = a.body[:have+int(size)]; size == 0 {
			return nil
		}
	}
}

// field returns the value of a header line when it has that name (lower case, with
// the colon).
func field(line []byte, name string) ([]byte, bool) {
	if len(line) < len(name) || !bytes.EqualFold(line[:len(name)], []byte(name)) {
		return nil, false
	}
	return bytes.TrimSpace(line[len(name):]), true
}
