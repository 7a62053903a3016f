//go:build !unix

package child

import (
	"io/fs"
	"os/exec"
	"syscall"
)

// supported is false: without process groups a child's children would outlive it.
const supported = false

func attributes(*Account, off) *syscall.SysProcAttr { return nil }

func shield() {}

func await(*exec.Cmd) {}

func strike(int, syscall.Signal) {}

func trusted(fs.FileInfo) bool { return false }

const (
	signalEnd  = syscall.SIGTERM
	signalKill = syscall.SIGKILL
)
