package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// ids makes the ids of call records: 16 hexadecimal digits of the microseconds since
// 1970, a dash, 8 digits of a hash of the replica. Those of one replica rise; those of
// two differ.
type ids struct {
	last int64
	end  string
}

func newIDs(replica string) ids {
	sum := sha256.Sum256([]byte(replica))
	return ids{end: "-" + hex.EncodeToString(sum[:4])}
}

func (i *ids) next(now time.Time) string {
	i.last = max(i.last+1, now.UnixMicro())
	digits := strconv.FormatInt(i.last, 16)
	return strings.Repeat("0", max(0, 16-len(digits))) + digits + i.end
}

// idTime returns when a record got its id; the zero time where it is no id of ours.
func idTime(id string) time.Time {
	digits, _, _ := strings.Cut(id, "-")
	micros, err := strconv.ParseInt(digits, 16, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
