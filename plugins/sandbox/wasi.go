package sandbox

import (
	"context"
	"encoding/binary"
	"math"
	"strconv"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
)

// WASI preview 1, as far as a plugin gets it: clocks, chance, standard output and
// error into the log, sleep that ends with the call. There are no files, no
// arguments, no environment and no sockets: those functions exist, because every
// Go or Rust guest imports them, and answer "bad file descriptor" or "not supported".
// It is our own, and not wazero's, because wazero's has a file system behind it,
// knows no deadline, and lets one random_get fill all of the memory in one go.

// wasiFunction is one function: its type in letters, and what serves it; nil
// answers with the number refuse.
type wasiFunction struct {
	params, results string
	f               func(i *instance, guest api.Module, stack []uint64) uint32
	refuse          uint32
}

// Error numbers of WASI preview 1.
const (
	wasiOK     = 0
	wasiBadF   = 8
	wasiFault  = 21
	wasiInval  = 28
	wasiIO     = 29
	wasiNoSys  = 52
	wasiNotSup = 58
	wasiSPipe  = 70
)

// serve returns the function as wazero takes it.
func (w wasiFunction) serve() api.GoModuleFunc {
	f, refuse := w.f, uint64(w.refuse)
	switch {
	case w.results == "":
		return wasiExit // the only one that returns nothing
	case f == nil:
		return func(_ context.Context, _ api.Module, stack []uint64) { stack[0] = refuse }
	}
	return func(ctx context.Context, guest api.Module, stack []uint64) {
		stack[0] = uint64(f(running(ctx), guest, stack))
	}
}

var wasi = map[string]wasiFunction{
	"args_get":                {"ii", "i", nil, wasiOK},
	"args_sizes_get":          {"ii", "i", wasiNone, 0},
	"environ_get":             {"ii", "i", nil, wasiOK},
	"environ_sizes_get":       {"ii", "i", wasiNone, 0},
	"clock_res_get":           {"ii", "i", wasiResolution, 0},
	"clock_time_get":          {"ili", "i", wasiClock, 0},
	"random_get":              {"ii", "i", wasiRandom, 0},
	"poll_oneoff":             {"iiii", "i", wasiPoll, 0},
	"sched_yield":             {"", "i", wasiYield, 0},
	"proc_exit":               {"i", "", nil, 0}, // see serve
	"proc_raise":              {"i", "i", nil, wasiNotSup},
	"fd_write":                {"iiii", "i", wasiWrite, 0},
	"fd_read":                 {"iiii", "i", wasiRead, 0},
	"fd_fdstat_get":           {"ii", "i", wasiStat, 0},
	"fd_fdstat_set_flags":     {"ii", "i", wasiStdio, 0},
	"fd_close":                {"i", "i", wasiStdio, 0},
	"fd_seek":                 {"ilii", "i", wasiSeek, 0},
	"fd_tell":                 {"ii", "i", wasiSeek, 0},
	"fd_prestat_get":          {"ii", "i", nil, wasiBadF}, // no directory is open beforehand
	"fd_prestat_dir_name":     {"iii", "i", nil, wasiBadF},
	"fd_advise":               {"illi", "i", nil, wasiBadF},
	"fd_allocate":             {"ill", "i", nil, wasiBadF},
	"fd_datasync":             {"i", "i", nil, wasiBadF},
	"fd_fdstat_set_rights":    {"ill", "i", nil, wasiBadF},
	"fd_filestat_get":         {"ii", "i", nil, wasiBadF},
	"fd_filestat_set_size":    {"il", "i", nil, wasiBadF},
	"fd_filestat_set_times":   {"illi", "i", nil, wasiBadF},
	"fd_pread":                {"iiili", "i", nil, wasiBadF},
	"fd_pwrite":               {"iiili", "i", nil, wasiBadF},
	"fd_readdir":              {"iiili", "i", nil, wasiBadF},
	"fd_renumber":             {"ii", "i", nil, wasiBadF},
	"fd_sync":                 {"i", "i", nil, wasiBadF},
	"path_create_directory":   {"iii", "i", nil, wasiBadF},
	"path_filestat_get":       {"iiiii", "i", nil, wasiBadF},
	"path_filestat_set_times": {"iiiilli", "i", nil, wasiBadF},
	"path_link":               {"iiiiiii", "i", nil, wasiBadF},
	"path_open":               {"iiiiillii", "i", nil, wasiBadF},
	"path_readlink":           {"iiiiii", "i", nil, wasiBadF},
	"path_remove_directory":   {"iii", "i", nil, wasiBadF},
	"path_rename":             {"iiiiii", "i", nil, wasiBadF},
	"path_symlink":            {"iiiii", "i", nil, wasiBadF},
	"path_unlink_file":        {"iii", "i", nil, wasiBadF},
	"sock_accept":             {"iii", "i", nil, wasiBadF},
	"sock_recv":               {"iiiiii", "i", nil, wasiBadF},
	"sock_send":               {"iiiii", "i", nil, wasiBadF},
	"sock_shutdown":           {"ii", "i", nil, wasiBadF},
}

// wasiNone says that there are no arguments and no environment: zero entries, zero
// bytes.
func wasiNone(_ *instance, guest api.Module, stack []uint64) uint32 {
	if !guest.Memory().WriteUint32Le(uint32(stack[0]), 0) || !guest.Memory().WriteUint32Le(uint32(stack[1]), 0) {
		return wasiFault
	}
	return wasiOK
}

// Clocks: 0 is the time of day, 1 runs steadily, 2 and 3 count CPU time.
func wasiResolution(_ *instance, guest api.Module, stack []uint64) uint32 {
	if uint32(stack[0]) > 3 {
		return wasiInval
	}
	if !guest.Memory().WriteUint64Le(uint32(stack[1]), 1) {
		return wasiFault
	}
	return wasiOK
}

func wasiClock(i *instance, guest api.Module, stack []uint64) uint32 {
	now := i.plugin.now()
	var t int64
	switch uint32(stack[0]) {
	case 0:
		t = now.UnixNano()
	case 1:
		t = int64(now.Sub(i.plugin.born)) + 1 // a Go guest takes 0 for "no clock"
	case 2, 3:
		t = int64(i.meter.spent + now.Sub(i.meter.mark))
	default:
		return wasiInval
	}
	if !guest.Memory().WriteUint64Le(uint32(stack[2]), uint64(t)) {
		return wasiFault
	}
	return wasiOK
}

// randomPiece is how many random bytes are made between two looks at the budget.
const randomPiece = 64 << 10

func wasiRandom(i *instance, guest api.Module, stack []uint64) uint32 {
	b, ok := text(guest, stack[0], stack[1])
	if !ok {
		return wasiFault
	}
	for len(b) > 0 {
		piece := b[:min(len(b), randomPiece)]
		if _, err := i.plugin.rand.Read(piece); err != nil {
			return wasiIO
		}
		b = b[len(piece):]
		i.look()
	}
	return wasiOK
}

// look ends the call if its budget is used up: for host functions that work in
// proportion to what the guest asks for.
func (i *instance) look() {
	now := i.plugin.now()
	i.meter.pause(now)
	i.meter.resume(now)
	if err := i.over(now); err != nil {
		i.halt(err)
	}
}

func wasiYield(i *instance, _ api.Module, _ []uint64) uint32 {
	i.look()
	return wasiOK
}

// wasiExit ends the call: a plugin has no process of its own to end.
func wasiExit(ctx context.Context, _ api.Module, stack []uint64) {
	running(ctx).halt(&core.Error{Code: core.CodeInternal, Message: "its code ended itself with exit code " + strconv.FormatUint(stack[0]&math.MaxUint32, 10)})
}

const (
	subscription = 48 // bytes of one
	event        = 32
	maxEvents    = 64
)

// wasiPoll serves sleeping: of the clocks that the guest subscribes to, it waits
// for the first, at most to the end of the call. Standard streams are ready at once.
func wasiPoll(i *instance, guest api.Module, stack []uint64) uint32 {
	count := uint64(uint32(stack[2]))
	if count == 0 || count > maxEvents {
		return wasiInval
	}
	in, ok := text(guest, stack[0], count*subscription)
	out, fine := text(guest, stack[1], count*event)
	if !ok || !fine {
		return wasiFault
	}
	// The two may overlap: read everything before writing.
	var subs [maxEvents * subscription]byte
	copy(subs[:], in)
	wait := time.Duration(math.MaxInt64)
	for n := range int(count) {
		wait = min(wait, i.delay(subs[n*subscription:(n+1)*subscription]))
	}
	if wait > 0 {
		i.sleep(wait)
	}
	events := uint32(0)
	for n := range int(count) {
		s := subs[n*subscription : (n+1)*subscription]
		if i.delay(s) > wait {
			continue
		}
		e := out[events*event : (events+1)*event]
		clear(e)
		copy(e[:8], s[:8]) // the guest's own mark
		e[10] = s[8]       // clock, read or write
		if s[8] != 0 {
			if fd := binary.LittleEndian.Uint32(s[16:]); fd > 2 {
				e[8] = wasiBadF
			}
		}
		events++
	}
	if !guest.Memory().WriteUint32Le(uint32(stack[3]), events) {
		return wasiFault
	}
	return wasiOK
}

// delay returns how long a subscription waits; 0 = it is ready.
func (i *instance) delay(s []byte) time.Duration {
	if s[8] != 0 {
		return 0
	}
	at := binary.LittleEndian.Uint64(s[24:])
	d := time.Duration(min(at, math.MaxInt64))
	if binary.LittleEndian.Uint16(s[40:])&1 == 0 {
		return max(d, 0)
	}
	now := i.plugin.now() // the time is absolute
	if binary.LittleEndian.Uint32(s[16:]) == 0 {
		return max(d-time.Duration(now.UnixNano()), 0)
	}
	return max(d-now.Sub(i.plugin.born)-1, 0)
}

// sleep waits for d, or for the end of the call, whichever is first.
func (i *instance) sleep(d time.Duration) {
	i.wait()
	ctx := i.context()
	timer := time.NewTimer(min(d, i.scope.Left()))
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	timer.Stop()
	i.waited()
}

func wasiWrite(i *instance, guest api.Module, stack []uint64) uint32 {
	fd := uint32(stack[0])
	if fd != 1 && fd != 2 {
		return wasiBadF
	}
	count := uint64(uint32(stack[2]))
	if count > 1024 {
		return wasiInval
	}
	vectors, ok := text(guest, stack[1], count*8)
	if !ok {
		return wasiFault
	}
	var written uint64
	for ; len(vectors) > 0; vectors = vectors[8:] {
		b, ok := guest.Memory().Read(binary.LittleEndian.Uint32(vectors), binary.LittleEndian.Uint32(vectors[4:]))
		if !ok {
			return wasiFault
		}
		written += uint64(len(b))
		i.stdio[fd-1].write(i, int(fd-1), b)
	}
	if !guest.Memory().WriteUint32Le(uint32(stack[3]), uint32(written)) {
		return wasiFault
	}
	return wasiOK
}

// wasiRead finds standard input at its end.
func wasiRead(_ *instance, guest api.Module, stack []uint64) uint32 {
	if uint32(stack[0]) != 0 {
		return wasiBadF
	}
	if !guest.Memory().WriteUint32Le(uint32(stack[3]), 0) {
		return wasiFault
	}
	return wasiOK
}

// wasiStat says that the standard streams are character devices.
func wasiStat(_ *instance, guest api.Module, stack []uint64) uint32 {
	if uint32(stack[0]) > 2 {
		return wasiBadF
	}
	b, ok := text(guest, stack[1], 24)
	if !ok {
		return wasiFault
	}
	clear(b)
	b[0] = 2                 // character device
	b[8], b[16] = 0x42, 0x42 // rights: read and write
	return wasiOK
}

func wasiStdio(_ *instance, _ api.Module, stack []uint64) uint32 {
	if uint32(stack[0]) > 2 {
		return wasiBadF
	}
	return wasiOK
}

func wasiSeek(_ *instance, _ api.Module, stack []uint64) uint32 {
	if uint32(stack[0]) > 2 {
		return wasiBadF
	}
	return wasiSPipe
}

// lines collects what a guest writes to one of the standard streams and hands it to
// the log line by line, at most Limits.Stdio bytes a call.
type lines struct {
	rest  []byte // the line that has not ended yet
	taken int64
	over  bool
}

const maxLine = 4 << 10

func (l *lines) write(i *instance, stream int, b []byte) {
	room := i.plugin.limits.Stdio - i.stdio[0].taken - i.stdio[1].taken
	if int64(len(b)) > room {
		b = b[:max(room, 0)]
		if !l.over {
			l.over = true
			defer func() {
				i.print(stream, []byte("… standard output goes on, past the limit of "+bytes(i.plugin.limits.Stdio)+" a call"))
			}()
		}
	}
	l.taken += int64(len(b))
	for len(b) > 0 {
		n, end := min(len(b), maxLine-len(l.rest)), false
		for at, c := range b[:n] {
			if c == '\n' {
				n, end = at, true
				break
			}
		}
		l.rest = append(l.rest, b[:n]...)
		if end {
			n++
		}
		b = b[n:]
		if end || len(l.rest) >= maxLine {
			i.print(stream, l.rest)
			l.rest = l.rest[:0]
		}
	}
}

// flush ends the call's last line.
func (l *lines) flush(i *instance, stream int) {
	if l.taken == 0 && !l.over {
		return
	}
	if len(l.rest) > 0 {
		i.print(stream, l.rest)
	}
	*l = lines{rest: l.rest[:0]}
}

func (i *instance) print(stream int, line []byte) {
	if len(line) == 0 {
		return
	}
	at := abi.LogInfo
	if stream == 1 {
		at = abi.LogWarn
	}
	i.plugin.host.Log(i.context(), &i.scope, at, line)
}
