package child

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

const supported = true

// attributes of a new child: a session of its own, hence a group of its own and no
// terminal; and SIGKILL when the thread that started it ends, which is when the gateway
// does (that thread waits for the child, see live).
func attributes(account *Account, o off) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true}
	if !o.death {
		a.Pdeathsig = syscall.SIGKILL
	}
	if account != nil {
		a.Credential = &syscall.Credential{Uid: account.UID, Gid: account.GID}
	}
	return a
}

// shield keeps descriptors that the gateway was started with away from children; those
// that Go opens are closed on exec anyway. Kernels before 5.11 do not know how.
func shield() {
	_ = unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC)
}

// await returns when the child has ended, and leaves it to be reaped: as long as it is
// not, its number, and so its group's, cannot be given to anybody else.
func await(cmd *exec.Cmd) {
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err == nil {
			return
		}
		if !errors.Is(err, unix.EINTR) { // a sandbox that does not let us wait like this
			_ = cmd.Wait()
			return
		}
	}
}

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
