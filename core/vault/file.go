package vault

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/core"
)

// readPrivate reads a file that only its owner may read.
func readPrivate(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	about, err := file.Stat()
	if err != nil {
		return nil, err
	}
	switch {
	case !about.Mode().IsRegular():
		return nil, &core.Error{Code: core.CodeInvalid, Message: path + " is not a regular file"}
	case about.Mode().Perm()&0o077 != 0:
		return nil, &core.Error{
			Code: core.CodeDenied, Message: fmt.Sprintf("others may read %s (mode %#o)", path, about.Mode().Perm()),
			Fix: "run chmod 600 on it, and rotate if somebody may have read it",
		}
	case about.Size() > limit:
		return nil, &core.Error{Code: core.CodeTooLarge, Message: fmt.Sprintf("%s holds more than %d bytes", path, limit)}
	}
	b, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(b)) > limit {
		return nil, &core.Error{Code: core.CodeTooLarge, Message: fmt.Sprintf("%s holds more than %d bytes", path, limit)}
	}
	return b, err
}

// writePrivate writes a file for its owner alone, whole or not at all: beside it, synced,
// and then moved to where it belongs by place (os.Rename, or os.Link to replace nothing).
func writePrivate(path string, b []byte, place func(from, to string) error) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".vault-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) //nolint:errcheck // renamed, or a left-over that harms nobody
	_, err = file.Write(b)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := place(file.Name(), path); err != nil {
		return err
	}
	// The name of the file is durable only with its directory.
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
