package session

import (
	"encoding/binary"
	"encoding/json"
	"strings"
	"time"
)

const (
	purpose    = "session"
	serialSize = 16
	maxID      = 1024 // bytes of an id
	payload    = 1 + 8 + 8 + serialSize
)

// Flags of a sealed id.
const (
	local byte = 1 << iota // the claims were too long to seal: only this process knows them
)

// sealed is the plain text of an id.
type sealed struct {
	flags           byte
	issued, expires time.Time
	serial          [serialSize]byte
	claims          json.RawMessage
}

func (t sealed) bytes() []byte {
	b := append(make([]byte, 0, payload+len(t.claims)), t.flags)
	b = binary.BigEndian.AppendUint64(b, uint64(t.issued.Unix()))
	b = binary.BigEndian.AppendUint64(b, uint64(t.expires.Unix()))
	b = append(b, t.serial[:]...)
	return append(b, t.claims...)
}

func parse(b []byte) (sealed, bool) {
	if len(b) < payload {
		return sealed{}, false
	}
	t := sealed{
		flags:   b[0],
		issued:  time.Unix(int64(binary.BigEndian.Uint64(b[1:])), 0),
		expires: time.Unix(int64(binary.BigEndian.Uint64(b[9:])), 0),
		serial:  [serialSize]byte(b[17:payload]),
	}
	if len(b) > payload {
		t.claims = b[payload:]
	}
	return t, true
}

// join writes bind so that no two lists look alike.
func join(bind []string) string {
	var b strings.Builder
	for _, text := range bind {
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], uint32(len(text)))
		b.Write(size[:])
		b.WriteString(text)
	}
	return b.String()
}

// bound tells whether joined is join(bind), without allocating.
func bound(joined string, bind []string) bool {
	for _, text := range bind {
		if len(joined) < 4 {
			return false
		}
		size := int(joined[0])<<24 | int(joined[1])<<16 | int(joined[2])<<8 | int(joined[3])
		joined = joined[4:]
		if size != len(text) || len(joined) < size || joined[:size] != text {
			return false
		}
		joined = joined[size:]
	}
	return joined == ""
}
