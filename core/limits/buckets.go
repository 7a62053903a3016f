package limits

import (
	"hash/maphash"
	"strings"
	"sync"
)

const (
	shards   = 32
	tries    = 16  // buckets looked at for an idle one before a newcomer shares
	maxNamed = 256 // bytes of a name in a key; longer ones stand in it by their hash
)

// buckets holds the buckets of all rules: at most so many of each sort.
type buckets struct {
	seed  maphash.Seed
	limit [sorts]int // in a shard
	shard [shards]shard
}

type shard struct {
	mu     sync.Mutex
	of     [sorts]map[key]*bucket
	shared map[key]*bucket // one for each rule and sort
}

func newBuckets(keys int) *buckets {
	b := &buckets{seed: maphash.MakeSeed()}
	b.limit = [sorts]int{ofIdentity: max(1, keys/2/shards), ofAddress: max(1, keys/4/shards), ofObject: max(1, keys/4/shards)}
	for i := range b.shard {
		for j := range b.shard[i].of {
			b.shard[i].of[j] = map[key]*bucket{}
		}
		b.shard[i].shared = map[key]*bucket{}
	}
	return b
}

// get returns the bucket of a key. One that is not there is made, in the place of an idle
// one when there are enough, and shared with others when none is idle. It is pinned until
// the caller lets go of it.
func (b *buckets) get(k key, now moment) *bucket {
	if len(k.one)+len(k.two) > maxNamed {
		k = b.short(k)
	}
	s := &b.shard[b.hash(&k)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.of[k.sort]
	if found := of[k]; found != nil {
		return found.pin()
	}
	if len(of) >= b.limit[k.sort] && !s.drop(k.sort, now) {
		k = key{serial: k.serial, sort: k.sort, shared: true}
		if s.shared[k] == nil {
			s.shared[k] = &bucket{}
		}
		return s.shared[k].pin()
	}
	// What a caller sent is not held on to.
	k.tenant, k.one, k.two = strings.Clone(k.tenant), strings.Clone(k.one), strings.Clone(k.two)
	made := &bucket{}
	of[k] = made
	return made.pin()
}

// pin keeps a bucket from being dropped. The shard is locked.
func (b *bucket) pin() *bucket {
	b.pins.Add(1)
	return b
}

// letGo unlocks and unpins a bucket.
func (b *bucket) letGo() {
	b.mu.Unlock()
	b.pins.Add(-1)
}

// find returns the bucket of a key, if it is there.
func (b *buckets) find(k key) *bucket {
	if len(k.one)+len(k.two) > maxNamed {
		k = b.short(k)
	}
	s := &b.shard[b.hash(&k)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of[k.sort][k]
}

func (b *buckets) hash(k *key) uint64 {
	const odd = 0x9e3779b97f4a7c15
	h := k.serial*odd ^ k.address*odd>>7
	if k.one == "" {
		return (h ^ maphash.String(b.seed, k.tenant)) >> 3
	}
	return (h ^ maphash.String(b.seed, k.one) ^ maphash.String(b.seed, k.two)*odd) >> 3
}

// short puts a hash in the place of long names.
func (b *buckets) short(k key) key {
	var h maphash.Hash
	h.SetSeed(b.seed)
	_, _ = h.WriteString(k.one)
	_ = h.WriteByte(0)
	_, _ = h.WriteString(k.two)
	k.address, k.family, k.one, k.two = h.Sum64(), 255, "", ""
	return k
}

// drop drops an idle bucket, if one is among the first it sees; the order of a map is
// another each time. s is locked.
func (s *shard) drop(of sort, now moment) bool {
	seen := 0
	for k, b := range s.of[of] {
		if b.free(func() bool { return b.idle(now) }) {
			delete(s.of[of], k)
			return true
		}
		if seen++; seen == tries {
			break
		}
	}
	return false
}

// free tells whether nobody has the bucket and unused holds. The shard is locked, so nobody
// gets it meanwhile; but a call that has ended may be giving back its place.
func (b *bucket) free(unused func() bool) bool {
	if b.pins.Load() > 0 || !b.mu.TryLock() {
		return false
	}
	defer b.mu.Unlock()
	return unused()
}

// sweep drops every idle bucket, and those of rules that are gone once no call is in them.
func (b *buckets) sweep(now moment, lives func(serial uint64) bool) {
	for i := range b.shard {
		s := &b.shard[i]
		s.mu.Lock()
		for _, of := range append(s.of[:], s.shared) {
			for k, one := range of {
				if one.free(func() bool { return one.idle(now) || one.inUse == 0 && !lives(k.serial) }) {
					delete(of, k)
				}
			}
		}
		s.mu.Unlock()
	}
}

// len returns how many buckets there are.
func (b *buckets) len() (n int64) {
	for i := range b.shard {
		s := &b.shard[i]
		s.mu.Lock()
		for _, of := range s.of {
			n += int64(len(of))
		}
		n += int64(len(s.shared))
		s.mu.Unlock()
	}
	return n
}
