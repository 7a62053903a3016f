package child

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// Allow is what the settings let run. Its zero value lets nothing run: whoever can
// publish a document must not by that alone be able to start programs.
type Allow struct {
	// Commands are binaries (absolute), each with the arguments that must come first. A
	// binary alone allows any arguments; for an interpreter that is any code, and for a
	// shell it is refused.
	Commands [][]string
	// Env are variables that may be set although loaders and interpreters take code
	// from them (LD_PRELOAD, NODE_OPTIONS, …). All other names are free.
	Env []string
}

// shells run their arguments: to allow one is to allow everything.
var shells = []string{"sh", "ash", "bash", "dash", "fish", "ksh", "mksh", "zsh", "csh", "tcsh", "busybox", "toybox", "env", "xargs", "sudo", "doas", "su", "nsenter", "unshare", "setsid", "nohup", "timeout"}

// loaders are variables by which code comes into a program that was not asked for it. A
// trailing * stands for any rest.
var loaders = []string{
	"LD_*", "DYLD_*", "GCONV_PATH", "GLIBC_TUNABLES", "BASH_ENV", "BASH_FUNC_*", "ENV", "SHELLOPTS", "PS4", "IFS",
	"NODE_OPTIONS", "NODE_PATH", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "PYTHONINSPECT", "PERL5LIB", "PERL5OPT", "PERL5DB", "RUBYLIB", "RUBYOPT",
	"JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH", "DOTNET_STARTUP_HOOKS", "CORECLR_*", "GIT_*", "EDITOR", "PAGER",
}

// Check tells whether spec may run, and returns the file to execute: symbolic links are
// resolved, so that what was judged is what runs. The file must belong to root or to the
// gateway's own account and must not be writable by group or others; no directory above
// it may be replaceable by a stranger (Debian's /usr/local is writable by a group, which
// is accepted).
func (a Allow) Check(spec *Spec) (binary string, err error) {
	if err := spec.check(); err != nil {
		return "", err
	}
	if len(a.Commands) == 0 {
		return "", spec.denied("may not start: no command is allowed", "list the command in the settings; that cannot be done in a document or by the API")
	}
	binary, err = filepath.EvalSymlinks(spec.Argv[0])
	if err != nil {
		return "", spec.unfit(spec.Argv[0], "cannot be found", "install it, or mend the path", err)
	}
	if err := a.listed(spec, binary); err != nil {
		return "", err
	}
	if err := a.variables(spec); err != nil {
		return "", err
	}
	return binary, spec.firm(binary)
}

// listed tells whether a command of the list covers spec.
func (a Allow) listed(spec *Spec, binary string) error {
	for _, command := range a.Commands {
		if len(command) == 0 || !filepath.IsAbs(command[0]) {
			continue
		}
		if to, err := filepath.EvalSymlinks(command[0]); err != nil || to != binary {
			continue
		}
		first, rest := command[1:], spec.Argv[1:]
		if len(rest) < len(first) || !slices.Equal(first, rest[:len(first)]) {
			continue
		}
		if len(first) == 0 && (slices.Contains(shells, filepath.Base(binary)) || slices.Contains(shells, filepath.Base(spec.Argv[0]))) {
			return spec.denied(fmt.Sprintf("is to run %s, which runs whatever its arguments say", spec.Argv[0]), "list it in the settings together with the arguments that must come first")
		}
		return nil
	}
	return spec.denied(fmt.Sprintf("is to run %s, which is not allowed, or not with these arguments", spec.Argv[0]), "list the command in the settings; that cannot be done in a document or by the API")
}

// variables looks for variables that bring code along.
func (a Allow) variables(spec *Spec) error {
	for _, name := range spec.names() {
		if slices.Contains(a.Env, name) {
			continue
		}
		for _, loader := range loaders {
			stem, open := strings.CutSuffix(loader, "*")
			if name == loader || open && strings.HasPrefix(name, stem) {
				return spec.denied("sets the variable "+name+", by which other code could be run", "leave it out, or allow the variable in the settings")
			}
		}
	}
	for _, dir := range filepath.SplitList(spec.Env["PATH"] + string(filepath.ListSeparator) + spec.Secret["PATH"].Reveal()) {
		if dir != "" && !filepath.IsAbs(dir) {
			return spec.denied("has a relative directory in PATH", "write absolute directories only")
		}
	}
	return nil
}

// firm tells whether nobody but root and ourselves can put other bytes in the file's place.
func (s *Spec) firm(file string) error {
	at, err := os.Stat(file)
	switch {
	case err != nil:
		return s.unfit(file, "cannot be looked at", "mend its permissions", err)
	case !at.Mode().IsRegular():
		return s.unfit(file, "is no file", "name the binary itself", nil)
	case at.Mode().Perm()&0o111 == 0:
		return s.unfit(file, "is not executable", "chmod +x it", nil)
	case at.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0:
		return s.unfit(file, "runs as its owner (setuid), so the gateway could not end it", "chmod ug-s it, and give the child an account instead", nil)
	case at.Mode().Perm()&0o022 != 0:
		return s.unfit(file, "can be written by its group or by everybody", "chmod go-w it", nil)
	case !trusted(at):
		return s.unfit(file, "belongs to another account", "let root, or the gateway's account, own it", nil)
	}
	for dir := filepath.Dir(file); ; dir = filepath.Dir(dir) {
		at, err := os.Stat(dir)
		switch {
		case err != nil:
			return s.unfit(dir, "cannot be looked at", "mend its permissions", err)
		case at.Mode().Perm()&0o002 != 0 && at.Mode()&fs.ModeSticky == 0:
			return s.unfit(dir, "can be written by everybody", "chmod o-w it", nil)
		case !trusted(at):
			return s.unfit(dir, "belongs to another account", "let root, or the gateway's account, own it", nil)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

func (s *Spec) unfit(file, what, fix string, cause error) *core.Error {
	e := s.denied(fmt.Sprintf("may not start: %s %s", file, what), fix)
	e.Err = cause
	return e
}
