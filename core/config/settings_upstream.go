package config

import "strings"

// UpstreamSettings says which programs may be upstreams. Nothing else can let one run.
type UpstreamSettings struct {
	Commands []string `json:"commands"`
	Env      []string `json:"env"`
}

var upstreamSettings = describe[UpstreamSettings]("upstreams", "Which programs may be upstreams. The upstreams themselves stand in gateway documents.",
	map[string]string{"name": inDocument, "url": inDocument, "command": "write commands", "headers": inDocument},
	may("commands", many(matching(`^/[^\s,]+( [^\s,]+)*$`, "the absolute path of a program, then the arguments that must come first, with one blank between them")),
		"Programs that documents may run as upstreams: the absolute path, then the arguments that must come first, for example `/usr/bin/node /opt/files/server.js`. A path alone allows any arguments: for an interpreter that is any code, and for a shell it is refused. Without an entry no document and no call of the API can start anything.").otherwise("[]"),
	may("env", many(matching(`^[^=,\s]{1,128}$`, "the name of a variable")),
		"Variables that upstreams may be given although loaders and interpreters take code from them, such as NODE_OPTIONS. All others are free.").otherwise("[]"),
)

// Allowed reads Commands.
func (s UpstreamSettings) Allowed() [][]string {
	list := make([][]string, len(s.Commands))
	for i, text := range s.Commands {
		list[i] = strings.Fields(text)
	}
	return list
}
