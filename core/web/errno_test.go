package web

import "syscall"

// errTooMany is what Accept says when the process has no file left.
type errTooMany struct{}

func (errTooMany) Error() string { return "too many open files" }
func (errTooMany) Unwrap() error { return syscall.EMFILE }
