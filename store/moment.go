package store

import "time"

// moment is a time as databases keep it: microseconds since 1970. The zero time stays the
// zero time.
type moment int64

func momentOf(t time.Time) moment { return moment(t.UnixMicro()) }

func (m moment) time() time.Time { return time.UnixMicro(int64(m)).UTC() }

func maybeMoment(t *time.Time) *moment {
	if t == nil {
		return nil
	}
	m := momentOf(*t)
	return &m
}

func (m *moment) maybe() *time.Time {
	if m == nil {
		return nil
	}
	t := m.time()
	return &t
}
