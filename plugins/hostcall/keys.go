package hostcall

import (
	"slices"
	"sort"
	"strings"
)

// keys is a set of strings in the order of their bytes: pieces of bounded length, so
// that neither adding one nor reading a page takes longer the more there are. A guest
// pays no CPU time for host functions, so they must not be made slow by what it keeps.
type keys [][]string

const maxPiece = 512

// piece returns the piece in which a key is or belongs.
func (k keys) piece(key string) int {
	return max(0, sort.Search(len(k), func(n int) bool { return k[n][0] > key })-1)
}

func (k *keys) add(key string) {
	if len(*k) == 0 {
		*k = keys{{key}}
		return
	}
	n := k.piece(key)
	at, found := slices.BinarySearch((*k)[n], key)
	if found {
		return
	}
	piece := slices.Insert((*k)[n], at, key)
	(*k)[n] = piece
	if len(piece) <= maxPiece {
		return
	}
	half := len(piece) / 2
	*k = slices.Insert(*k, n+1, slices.Clone(piece[half:]))
	clear(piece[half:])
	(*k)[n] = piece[:half]
}

func (k *keys) remove(key string) {
	if len(*k) == 0 {
		return
	}
	n := k.piece(key)
	at, found := slices.BinarySearch((*k)[n], key)
	if !found {
		return
	}
	if (*k)[n] = slices.Delete((*k)[n], at, at+1); len((*k)[n]) == 0 {
		*k = slices.Delete(*k, n, n+1)
	}
}

// page returns at most limit keys that begin with prefix and come after the key after.
func (k keys) page(prefix, after string, limit int) []string {
	if len(k) == 0 || limit <= 0 {
		return nil
	}
	from := max(prefix, after)
	var found []string
	for n := k.piece(from); n < len(k); n++ {
		at, _ := slices.BinarySearch(k[n], from)
		for _, key := range k[n][at:] {
			if key == after {
				continue
			}
			if !strings.HasPrefix(key, prefix) || len(found) == limit {
				return found
			}
			found = append(found, key)
		}
	}
	return found
}
