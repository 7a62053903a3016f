package config

import (
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
)

var (
	errTooLarge = errors.New("too large")
	errNotFile  = errors.New("not a regular file")
)

// readFile reads a regular file of at most limit bytes. Anything else is refused
// before it is opened: opening a pipe would wait for its writer.
func readFile(path string, limit int64) ([]byte, error) {
	stat, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !stat.Mode().IsRegular():
		return nil, errNotFile
	case stat.Size() > limit:
		return nil, errTooLarge
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		return nil, errTooLarge
	}
	return b, err
}

// reason says why a file cannot be read, without the path, which stands beside it.
func reason(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no such file"
	case errors.Is(err, fs.ErrPermission):
		return "permission denied"
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// sumOf identifies what was read, or that nothing could be.
func sumOf(b []byte, err error) [sha256.Size]byte {
	if err != nil {
		return sha256.Sum256([]byte("\x00" + reason(err)))
	}
	return sha256.Sum256(b)
}
