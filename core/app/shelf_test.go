package app

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/rogpeppe/go-internal/testscript"
)

// shelfVariable makes the test binary an MCP server (2025-11-25) on its standard input and
// output, whose tools are those of the file that it names.
const shelfVariable = "TEST_SHELF"

// serveShelf answers until its input ends. The tool reload says that the tools changed, die
// ends the process.
func serveShelf(file string) {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var m struct {
			ID     json.RawMessage
			Method string
			Params struct {
				Name            string
				Arguments       json.RawMessage
				ProtocolVersion string
			}
		}
		if json.Unmarshal(in.Bytes(), &m) != nil || m.ID == nil {
			continue
		}
		result := `{}`
		switch m.Method {
		case "initialize":
			result = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"shelf","title":"The Shelf","version":"1"}}`
		case "tools/list":
			tools, err := os.ReadFile(file)
			if err != nil {
				tools = []byte(`[]`)
			}
			result = `{"tools":` + string(tools) + `}`
		case "tools/call":
			switch m.Params.Name {
			case "die":
				os.Exit(1)
			case "reload":
				fmt.Println(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
			}
			result = string(mustJSON(map[string]any{"content": []any{map[string]any{"type": "text", "text": fmt.Sprintf("%s got %s, PATH is %q", m.Params.Name, m.Params.Arguments, os.Getenv("PATH"))}}}))
		case "ping":
		default:
			fmt.Printf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}`+"\n", m.ID)
			continue
		}
		compact, err := json.Marshal(json.RawMessage(result))
		if err != nil {
			compact = []byte(`{}`)
		}
		fmt.Printf(`{"jsonrpc":"2.0","id":%s,"result":%s}`+"\n", m.ID, compact)
	}
}

func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// self VARIABLE sets a variable to the path of the test binary.
func self(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: self VARIABLE")
	}
	exe, err := os.Executable()
	ts.Check(err)
	ts.Check(os.Chmod(exe, 0o755)) // with an umask of 002 the group could write it, which is refused
	ts.Setenv(args[0], exe)
}
