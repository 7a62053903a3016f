//go:build unix && !linux

package child

import (
	"io/fs"
	"os"
	"os/exec"
	"syscall"
)

const supported = true

// attributes of a new child: a session of its own, hence a group of its own and no
// terminal. There is no signal for the death of the gateway here: a child learns of it by
// the end of its standard input.
func attributes(account *Account, _ off) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true}
	if account != nil {
		a.Credential = &syscall.Credential{Uid: account.UID, Gid: account.GID}
	}
	return a
}

// shield does nothing: descriptors that the gateway was started with and that are not
// closed on exec reach its children.
func shield() {}

// await reaps the child, for want of a way to wait for its end alone. Its group is killed
// right after; in between its number could in theory be given away.
func await(cmd *exec.Cmd) { _ = cmd.Wait() }

// strike sends a signal to the whole group of a child. That it is gone is no mistake.
func strike(pid int, s syscall.Signal) { _ = syscall.Kill(-pid, s) }

// trusted tells whether a file belongs to root or to us.
func trusted(at fs.FileInfo) bool {
	stat, ok := at.Sys().(*syscall.Stat_t)
	return ok && (stat.Uid == 0 || int(stat.Uid) == os.Geteuid())
}

const (
	signalEnd  = syscall.SIGTERM
	signalKill = syscall.SIGKILL
)
