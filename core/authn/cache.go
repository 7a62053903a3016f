package authn

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Bounds of a cache. Only credentials that were believed get in, so strangers cannot fill
// it.
const (
	cacheShards = 16
	cacheShard  = 1024 // entries
)

// cacheKey is a credential at a tenant: the same access token may be good at another one
// by another provider.
type cacheKey struct {
	sum    [32]byte // SHA-256 of the credential
	tenant string
}

// believed is a credential that was believed.
type believed struct {
	who       core.Identity
	until     time.Time
	audiences []string // nil = any server of the tenant
	used      *used    // of an API token
}

// fits tells whether it is still good, here.
func (b *believed) fits(resource string, now time.Time) bool {
	return now.Before(b.until) && (b.audiences == nil || slices.Contains(b.audiences, resource) || slices.Contains(b.audiences, canonical(resource)))
}

// cache holds what was believed, in shards so that callers do not wait for each other. A
// full shard begins again: what is in use comes back with the next request.
type cache struct{ shards [cacheShards]cacheOne }

type cacheOne struct {
	sync.RWMutex
	m map[cacheKey]*believed
}

func newCache() *cache {
	c := &cache{}
	for i := range c.shards {
		c.shards[i].m = map[cacheKey]*believed{}
	}
	return c
}

func (c *cache) get(key cacheKey) *believed {
	shard := &c.shards[key.sum[0]%cacheShards]
	shard.RLock()
	b := shard.m[key]
	shard.RUnlock()
	return b
}

func (c *cache) put(key cacheKey, b *believed) {
	shard := &c.shards[key.sum[0]%cacheShards]
	shard.Lock()
	defer shard.Unlock()
	if len(shard.m) >= cacheShard {
		clear(shard.m)
	}
	shard.m[key] = b
}

// used is when an API token was last used, to the minute.
type used struct {
	minute atomic.Int64 // Unix time / 60
	key    [2]string    // tenant, id
}
