package sandbox

import "context"

// Spare is an instance beside the pool, for measuring what it costs to make and to
// restore one. It must be closed before its plugin.
type Spare struct{ instance *instance }

// Spare makes an instance that serves no calls.
func (p *Plugin) Spare(ctx context.Context) (*Spare, error) {
	i, err := p.newInstance(ctx, p.now().Add(p.limits.Start))
	if err != nil {
		return nil, err
	}
	return &Spare{instance: i}, nil
}

// Memory returns how many bytes of linear memory it has.
func (s *Spare) Memory() int64 { return int64(s.instance.memory.Size()) }

// Restore does what follows each call under PerCall. It returns false when the plugin
// is Shared, which has nothing to restore.
func (s *Spare) Restore() bool {
	return s.instance.image != nil && s.instance.image.restore(s.instance)
}

// Close closes it.
func (s *Spare) Close() { s.instance.close() }
