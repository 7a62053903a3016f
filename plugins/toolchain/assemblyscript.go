package toolchain

import (
	"context"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/core"
)

// AssemblyScript builds assembly/index.ts of a folder with the compiler asc that npm
// has put into node_modules of the folder or of one above it. The options are those of
// the folder's asconfig.json, target release, when there is one; else they are the
// defaults of asc with -O3 and the incremental runtime.
func AssemblyScript(ctx context.Context, dir, out string) error {
	dir, out, err := absolute(dir, out)
	if err != nil {
		return err
	}
	entry := filepath.Join("assembly", "index.ts")
	if _, err := os.Stat(filepath.Join(dir, entry)); err != nil {
		return &core.Error{Code: core.CodeInvalid, Message: dir + " has no " + entry, Err: err}
	}
	node, ok := find("node", "nodejs")
	if !ok {
		return missing("node", "install Node.js 18 or newer, Debian's packages nodejs npm")
	}
	compiler, ok := asc(dir)
	if !ok {
		return missing("the compiler of AssemblyScript", "run npm ci in "+dir)
	}
	return into(out, func(file string) error {
		args := []string{compiler, entry}
		if _, err := os.Stat(filepath.Join(dir, "asconfig.json")); err == nil {
			args = append(args, "--target", "release")
		} else {
			args = append(args, "-O3", "--noAssert", "--runtime", "incremental")
		}
		_, err := (&job{language: "AssemblyScript", dir: dir, program: node, args: append(args, "--outFile", file)}).run(ctx)
		return err
	})
}

// asc looks for the compiler in node_modules of the folder and of those above it, as
// node does.
func asc(dir string) (string, bool) {
	for {
		path := filepath.Join(dir, "node_modules", "assemblyscript", "bin", "asc.js")
		if _, err := os.Stat(path); err == nil {
			return path, true
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", false
		}
		dir = up
	}
}
