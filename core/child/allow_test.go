//go:build unix

package child

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
)

// program makes a small file that could be run.
func program(t *testing.T, name string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("#!/nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func link(t *testing.T, to string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAllow(t *testing.T) {
	good, other, shell := program(t, "server", 0o755), program(t, "other", 0o755), program(t, "sh", 0o755)
	setuid := program(t, "setuid", 0o755|os.ModeSetuid)
	loose, plain := program(t, "loose", 0o775), program(t, "plain", 0o644)
	open := program(t, "server", 0o755)
	if err := os.Chmod(filepath.Dir(open), 0o777); err != nil {
		t.Fatal(err)
	}
	all := Allow{Commands: [][]string{{good}, {setuid}, {loose}, {plain}, {open}, {shell}, {filepath.Dir(good)}}}
	env := func(names ...string) map[string]string {
		m := map[string]string{}
		for _, n := range names {
			m[n] = "canary"
		}
		return m
	}
	tests := []struct {
		name  string
		allow Allow
		spec  Spec
		code  core.Code // "" = allowed
		text  string
	}{
		{"listed", all, Spec{Argv: []string{good, "-c", "any"}}, "", ""},
		{"nothing allowed", Allow{}, Spec{Argv: []string{good}}, core.CodeDenied, "no command is allowed; list the command in the settings"},
		{"another one", all, Spec{Argv: []string{other}}, core.CodeDenied, "not allowed"},
		{"no command", all, Spec{}, core.CodeInvalid, "has no command"},
		{"relative", all, Spec{Argv: []string{"server"}}, core.CodeInvalid, "no absolute path"},
		{"relative entry", Allow{Commands: [][]string{{"server"}, {}}}, Spec{Argv: []string{good}}, core.CodeDenied, "not allowed"},
		{"dots", all, Spec{Argv: []string{filepath.Dir(good) + "/../" + filepath.Base(filepath.Dir(good)) + "/server"}}, "", ""},
		{"missing", all, Spec{Argv: []string{"/nowhere/server"}}, core.CodeDenied, "cannot be found"},
		{"link to a listed one", all, Spec{Argv: []string{link(t, good)}}, "", ""},
		{"link to another", all, Spec{Argv: []string{link(t, other)}}, core.CodeDenied, "not allowed"},
		{"listed link", Allow{Commands: [][]string{{link(t, good)}}}, Spec{Argv: []string{good}}, "", ""},
		{"group may write", all, Spec{Argv: []string{loose}}, core.CodeDenied, "chmod go-w"},
		{"setuid", all, Spec{Argv: []string{setuid}}, core.CodeDenied, "setuid"},
		{"not executable", all, Spec{Argv: []string{plain}}, core.CodeDenied, "not executable"},
		{"directory of everybody", all, Spec{Argv: []string{open}}, core.CodeDenied, "chmod o-w"},
		{"a directory", all, Spec{Argv: []string{filepath.Dir(good)}}, core.CodeDenied, "is no file"},
		{"shell", all, Spec{Argv: []string{shell, "-c", "id"}}, core.CodeDenied, "runs whatever its arguments say"},
		{"shell by another name", Allow{Commands: [][]string{{link(t, shell)}}}, Spec{Argv: []string{link(t, shell), "-c", "id"}}, core.CodeDenied, "runs whatever"},
		{"shell with its script", Allow{Commands: [][]string{{shell, "/opt/run.sh"}}}, Spec{Argv: []string{shell, "/opt/run.sh", "x"}}, "", ""},
		{"arguments", Allow{Commands: [][]string{{good, "-m", "files"}}}, Spec{Argv: []string{good, "-m", "files", "/data"}}, "", ""},
		{"other arguments", Allow{Commands: [][]string{{good, "-m", "files"}}}, Spec{Argv: []string{good, "-m", "canary"}}, core.CodeDenied, "not with these arguments"},
		{"fewer arguments", Allow{Commands: [][]string{{good, "-m", "files"}}}, Spec{Argv: []string{good, "-m"}}, core.CodeDenied, "not with these arguments"},
		{"NUL", all, Spec{Argv: []string{good, "a\x00b"}}, core.CodeInvalid, "argument 1"},
		{"directory", all, Spec{Argv: []string{good}, Dir: "here"}, core.CodeInvalid, "no absolute path"},

		{"variables", all, Spec{Argv: []string{good}, Env: env("HOME", "LANG", "LDAP"), Secret: map[string]core.Secret{"TOKEN": "canary"}}, "", ""},
		{"preload", all, Spec{Argv: []string{good}, Env: env("LD_PRELOAD")}, core.CodeDenied, "LD_PRELOAD"},
		{"secret preload", all, Spec{Argv: []string{good}, Secret: map[string]core.Secret{"LD_AUDIT": "canary"}}, core.CodeDenied, "LD_AUDIT"},
		{"node", all, Spec{Argv: []string{good}, Env: env("NODE_OPTIONS")}, core.CodeDenied, "NODE_OPTIONS"},
		{"node allowed", Allow{Commands: all.Commands, Env: []string{"NODE_OPTIONS"}}, Spec{Argv: []string{good}, Env: env("NODE_OPTIONS")}, "", ""},
		{"relative PATH", all, Spec{Argv: []string{good}, Env: map[string]string{"PATH": "/bin:canary"}}, core.CodeDenied, "PATH"},
		{"PATH", all, Spec{Argv: []string{good}, Env: map[string]string{"PATH": "/usr/bin:/bin"}}, "", ""},
		{"bad name", all, Spec{Argv: []string{good}, Env: env("A=B")}, core.CodeInvalid, "A=B"},
		{"no name", all, Spec{Argv: []string{good}, Env: env("")}, core.CodeInvalid, "variable"},
		{"twice", all, Spec{Argv: []string{good}, Env: env("A"), Secret: map[string]core.Secret{"A": "canary"}}, core.CodeInvalid, "twice"},
		{"NUL in a value", all, Spec{Argv: []string{good}, Env: map[string]string{"A": "canary\x00LD_PRELOAD=x"}}, core.CodeInvalid, "NUL byte in the variable A"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.spec.Name = "files"
			binary, err := tt.allow.Check(&tt.spec)
			if tt.code == "" {
				if err != nil || binary == "" || strings.Contains(binary, "link") {
					t.Error(binary, err)
				}
				return
			}
			if e := wants(t, err, tt.code, tt.text); strings.Contains(e.Error(), "canary") || e.Fix == "" {
				t.Errorf("%q shows a value, or no way out", e)
			}
			if p, err := Start(tt.allow, tt.spec, Options{}); err == nil {
				stop(t, p)
				t.Error("it was started")
			}
		})
	}
}

// Who owns the file could put another one in its place.
func TestForeignOwner(t *testing.T) {
	file := program(t, "server", 0o755)
	spec := Spec{Name: "files", Argv: []string{file}}
	allow := Allow{Commands: [][]string{{file}}}
	if os.Chown(file, 65534, 65534) != nil {
		// Not root: then a file of root's and one of ours are all that can be made.
		if _, err := allow.Check(&spec); err != nil {
			t.Error(err)
		}
		return
	}
	_, err := allow.Check(&spec)
	wants(t, err, core.CodeDenied, "belongs to another account")
	if err := os.Chown(file, 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Dir(file), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	_, err = allow.Check(&spec)
	wants(t, err, core.CodeDenied, "belongs to another account")
}
