package child

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Spec says what to run. Argv is a list and no shell reads it: Argv[0] is the absolute
// path of a binary, what follows are its arguments, byte for byte.
type Spec struct {
	Name    string                 // in logs and errors
	Argv    []string               // the binary, absolute, and its arguments
	Env     map[string]string      // the whole environment, together with Secret; nothing is inherited
	Secret  map[string]core.Secret // variables whose values are taken out of what the child writes to the log
	Dir     string                 // absolute; empty = the root directory: the gateway's own may hold files (.env) that programs read unasked
	Account *Account               // nil = as the gateway
	Limits  Limits
	Grace   time.Duration // how long a child has after its stdin closed, and again after SIGTERM; 0 = 5 s
}

// Account is whom a child runs as; only root can give one. It has no further groups.
type Account struct{ UID, GID uint32 }

// Limits bound what a child may make us keep. Zero values stand for the defaults.
type Limits struct {
	Line   int           // bytes of a line of stdout; default 16 MiB
	Noise  int           // bytes of stdout that are no JSON, between two lines that are; default 1 MiB
	Stderr int           // bytes of a line of stderr that are kept; default 8 KiB
	Stall  time.Duration // how long the child may take to read a line; default 30 s
}

const (
	defaultLine   = 16 << 20
	defaultNoise  = 1 << 20
	defaultStderr = 8 << 10
	defaultStall  = 30 * time.Second
	defaultGrace  = 5 * time.Second
)

// filled returns s with its defaults.
func (s Spec) filled() Spec {
	s.Limits.Line = or(s.Limits.Line, defaultLine)
	s.Limits.Noise = or(s.Limits.Noise, defaultNoise)
	s.Limits.Stderr = or(s.Limits.Stderr, defaultStderr)
	s.Limits.Stall = or(s.Limits.Stall, defaultStall)
	s.Grace = or(s.Grace, defaultGrace)
	if s.Dir == "" {
		s.Dir = "/"
	}
	return s
}

func or[T int | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// check tells what of s cannot be run by anybody. It never shows a value.
func (s *Spec) check() error {
	switch {
	case len(s.Argv) == 0 || s.Argv[0] == "":
		return s.invalid("has no command", "give a list: the absolute path of a binary, then its arguments")
	case !filepath.IsAbs(s.Argv[0]):
		return s.invalid(fmt.Sprintf("is to run %q, which is no absolute path", s.Argv[0]), "write the path from the root; no search path is used")
	case s.Dir != "" && !filepath.IsAbs(s.Dir):
		return s.invalid(fmt.Sprintf("has the directory %q, which is no absolute path", s.Dir), "write the path from the root")
	}
	for i, arg := range s.Argv {
		if strings.IndexByte(arg, 0) >= 0 {
			return s.invalid(fmt.Sprintf("has a NUL byte in argument %d", i), "take it out")
		}
	}
	for _, name := range s.names() {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return s.invalid(fmt.Sprintf("has a variable named %q", name), "a name is not empty and has no = in it")
		}
		_, plain := s.Env[name]
		secret, both := s.Secret[name]
		if plain && both {
			return s.invalid(fmt.Sprintf("has the variable %s twice, plain and secret", name), "keep one")
		}
		if strings.IndexByte(s.Env[name], 0) >= 0 || strings.IndexByte(secret.Reveal(), 0) >= 0 {
			return s.invalid("has a NUL byte in the variable "+name, "take it out")
		}
	}
	return nil
}

// names returns the names of all variables, sorted; one that is in both maps stands twice.
func (s *Spec) names() []string {
	names := make([]string, 0, len(s.Env)+len(s.Secret))
	for name := range s.Env {
		names = append(names, name)
	}
	for name := range s.Secret {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// environ returns the environment as execve wants it. It is never nil: os/exec takes nil
// for "inherit everything".
func (s *Spec) environ() []string {
	env := []string{}
	for _, name := range s.names() {
		value, plain := s.Env[name]
		if !plain {
			value = s.Secret[name].Reveal()
		}
		env = append(env, name+"="+value)
	}
	return env
}

func (s *Spec) invalid(what, fix string) *core.Error {
	return &core.Error{Code: core.CodeInvalid, Message: fmt.Sprintf("child %q %s", s.Name, what), Fix: fix}
}

func (s *Spec) denied(what, fix string) *core.Error {
	return &core.Error{Code: core.CodeDenied, Message: fmt.Sprintf("child %q %s", s.Name, what), Fix: fix}
}
