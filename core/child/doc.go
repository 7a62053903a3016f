// Package child runs programs that speak newline-delimited JSON on their standard input
// and output, and keeps them running. It knows nothing of what the lines mean.
//
//	           Allow (of the settings; empty = nothing may start)
//	             │ Check: absolute, listed, nobody else can write it
//	             ▼
//	Supervisor ─Start→ Process ── Send ─→ writer ──stdin──→ ┌───────────────┐
//	  │ eager, on demand, idle stop       one line a time   │ own session   │
//	  │ back-off, circuit, spares         ← Next ──stdout── │ and group,    │
//	  │                                   one line ahead    │ clean env,    │
//	  ├─ Acquire → Lease{Process}         log  ←──stderr─── │ no descriptor │
//	  └─ Health, Changed                  last lines kept   └───────────────┘
//	                                                           kill(-pid): all of it
//
// In use:
//
//	allow := child.Allow{Commands: [][]string{{"/usr/bin/node", "/opt/files/server.js"}}}
//	s, err := child.Supervise(child.Plan{
//		Allow: allow,
//		Spec:  child.Spec{Name: "files", Argv: []string{"/usr/bin/node", "/opt/files/server.js"}},
//		Start: child.OnDemand,
//		Ready: handshake, // func(ctx, *child.Process) error: a session is opened here
//	})
//	lease, err := s.Acquire(ctx)
//	defer lease.Release()
//	err = lease.Process.Send(ctx, []byte(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
//	line, err := lease.Process.Next(ctx)
//
// A program is never run by a shell. It gets the variables that its Spec names and no
// other, the root directory unless told otherwise, three descriptors, a session of its own
// (setsid: a process group, and no terminal), and a signal when the gateway dies (Linux).
// When it ends, or is ended, whatever else is in its group ends with it. A grandchild that
// leaves the group (setsid, as daemons do) is not found again; it cannot hold up anybody,
// since the pipes are closed. A grandchild orphaned by it is reaped by process 1: a
// container in which the gateway itself is process 1 wants an init (docker run --init).
//
// Memory is bounded by Limits: one line that waits to be fetched, one that is written.
// A child that is not listened to is held up by its own pipe.
package child
