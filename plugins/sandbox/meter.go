package sandbox

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/rewrite"
)

// Names of the instrumented module.
const (
	fuelExport  = rewrite.FuelExport
	stackExport = rewrite.StackExport
)

// slice is how many units of fuel a guest gets between two yields: less than
// 0.1 ms in a tight loop. The yields are also where Go's scheduler and garbage
// collector get hold of the thread: native code cannot be preempted.
const slice = 20_000

// meter measures what one call of a guest uses.
type meter struct {
	wall  time.Duration // from the beginning to the deadline
	limit time.Duration // of CPU
	spent time.Duration // of CPU
	mark  time.Time     // guest code runs since then
	fuel  int64         // units used
	tank  int64         // units handed out and not yet accounted
}

func (m *meter) begin(now, deadline time.Time, limit time.Duration) {
	*m = meter{wall: deadline.Sub(now), limit: limit, mark: now}
}

// refuel fills the tank before an export is called.
func (m *meter) refuel(fuel api.MutableGlobal) {
	m.account(fuel)
	fuel.Set(slice)
	m.tank = slice
}

// account counts what is gone from the tank.
func (m *meter) account(fuel api.MutableGlobal) {
	if m.tank > 0 {
		m.fuel += m.tank - int64(int32(fuel.Get()))
		m.tank = 0
	}
}

// pause adds the time that guest code ran until now.
func (m *meter) pause(now time.Time) { m.spent += now.Sub(m.mark) }

// resume begins to count again.
func (m *meter) resume(now time.Time) { m.mark = now }

func (m *meter) end(now time.Time, fuel api.MutableGlobal) {
	m.pause(now)
	if fuel != nil {
		m.account(fuel)
	}
}

// errStopped is what yield panics with; wazero's error wraps it, instance.stop
// says why.
var errStopped = errors.New("stopped by the gateway")

// Why a guest is stopped. Messages get the plugin's name in front.
var (
	errWall = &core.Error{Code: core.CodeTimeout, Message: "its time is over", Fix: "raise limits.timeout, or do less in one call"}
	errCPU  = &core.Error{Code: core.CodeTimeout, Message: "its CPU time is used up", Fix: "raise limits.cpu, or do less in one call"}
	errLeft = &core.Error{Code: core.CodeCancelled, Message: "the call was cancelled"}
)

// yield is called by instrumented code when its fuel is used up.
func yield(ctx context.Context, guest api.Module, _ []uint64) {
	i := running(ctx)
	now := i.plugin.now()
	i.meter.pause(now)
	if err := i.over(now); err != nil {
		i.halt(err)
	}
	// Other goroutines get their turn here and not only when the scheduler loses
	// patience after 10 ms; waiting for ours is no work of the guest.
	runtime.Gosched()
	i.meter.resume(i.plugin.now())
	if i.fuel == nil { // a start function runs: the exports were not looked up yet
		i.fuel, _ = guest.ExportedGlobal(fuelExport).(api.MutableGlobal)
	}
	i.meter.refuel(i.fuel)
}

// over says whether the call must end now, and why.
func (i *instance) over(now time.Time) error {
	switch {
	case i.meter.spent > i.meter.limit:
		return errCPU
	case !now.Before(i.scope.deadline):
		return errWall
	}
	switch err := i.caller.Err(); {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return errWall
	default:
		return errLeft
	}
}

// halt ends the guest's call: the panic goes up to wazero's call of the export,
// which returns it as an error.
func (i *instance) halt(why error) {
	i.stop = why
	panic(errStopped)
}

// toll is what a host function that may wait costs of the CPU budget: about what it
// costs us when it does not wait, so that a guest cannot work for nothing by calling
// it in a loop.
const toll = time.Microsecond

// wait brackets a host function that may wait: its time burns no CPU budget beyond
// the toll. It ends the call when its time was over before or is over afterwards.
func (i *instance) wait() {
	now := i.plugin.now()
	i.meter.pause(now)
	i.meter.spent += toll
	i.meter.mark = now
	if err := i.over(now); err != nil {
		i.halt(err)
	}
}

func (i *instance) waited() {
	now := i.plugin.now()
	i.meter.resume(now)
	if err := i.over(now); err != nil {
		i.halt(err)
	}
}
