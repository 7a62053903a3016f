package store

import (
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"
)

// identifier makes ids that sort by the time they were made: 26 characters, of 48 bits of
// milliseconds and 80 bits of chance, in the alphabet of Crockford (ULID, in lower case).
// Two of one millisecond follow each other.
type identifier struct {
	now  func() time.Time
	rand io.Reader

	mutex sync.Mutex
	last  [16]byte
}

var crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

func (i *identifier) next() (string, error) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	var id [16]byte
	binary.BigEndian.PutUint64(id[:8], uint64(i.now().UnixMilli())<<16)
	if string(id[:6]) <= string(i.last[:6]) {
		id = i.last
		for at := len(id) - 1; at >= 0; at-- { // one more
			id[at]++
			if id[at] != 0 {
				break
			}
		}
	} else if _, err := io.ReadFull(i.rand, id[6:]); err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	i.last = id
	// 128 bits are 26 characters of five, of which the first two bits are padding.
	padded := append([]byte{0, 0, 0, 0}, id[:]...) // 160 bits = 32 characters
	text := crockford.EncodeToString(padded)
	return text[6:], nil
}
