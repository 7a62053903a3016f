package config

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// Text is one document as it was written, byte for byte.
type Text struct {
	Name string // of the document: the name of its file without what says how to read it
	Path string // where it was read
	Text []byte
}

var documentName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Texts reads the documents that paths name, as Read does, and keeps them as they are: for
// a store to take them over. WriteTexts is the way back: it writes the same bytes. The
// name of a file that cannot be the name of a document, and two files of one name, are
// problems.
func Texts(paths []string) ([]Text, []core.Problem) {
	files, _, problems := collect(paths)
	var texts []Text
	var total int64
	from := map[string]string{}
	for _, path := range files {
		base := filepath.Base(path)
		name := strings.TrimSuffix(base, filepath.Ext(base))
		fault := func(message, fix string) {
			problems = append(problems, core.Problem{File: path, Message: message, Fix: fix})
		}
		b, err := readFile(path, maxFile)
		total += int64(len(b))
		switch {
		case err != nil:
			fault("cannot read the document: "+reason(err), "name a file that the gateway may read")
		case total > maxTotal:
			fault(fmt.Sprintf("the documents together hold more than %d MiB", maxTotal>>20), "take fewer of them at once")
			return texts, problems
		case !documentName.MatchString(name):
			fault(quote(name)+" cannot be the name of a document", "rename the file: 1 to 63 small letters, digits and -, beginning and ending with a letter or digit, and then .yaml")
		case from[name] != "":
			fault("another file gives a document of the same name: "+quote(from[name]), "rename one of them")
		default:
			from[name] = path
			texts = append(texts, Text{Name: name, Path: path, Text: b})
		}
	}
	return texts, problems
}

// WriteTexts writes each text to NAME.yaml in dir, which is made if need be. A file that is
// there already with the same content is left alone; one with another is an error with
// CodeConflict, and then nothing at all is written, unless replace is set. Each file is
// written whole or not at all. It returns the paths that were written.
func WriteTexts(dir string, texts []Text, replace bool) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // documents are no secrets: secrets stand in them as references
		return nil, &core.Error{Code: core.CodeReadOnly, Message: "make the directory " + quote(dir) + ": " + reason(err), Fix: "name a directory that can be written", Err: err}
	}
	var due []Text
	seen := map[string]bool{}
	for _, one := range texts {
		if !documentName.MatchString(one.Name) || !isDocument(one.Name+".yaml") {
			return nil, &core.Error{Code: core.CodeInvalid, Message: quote(one.Name) + " cannot be the name of a document's file", Fix: "rename the document"}
		}
		if seen[one.Name] {
			return nil, &core.Error{Code: core.CodeInvalid, Message: "there are two documents named " + quote(one.Name), Fix: "leave one of them out"}
		}
		seen[one.Name] = true
		one.Path = filepath.Join(dir, one.Name+".yaml")
		there, err := readFile(one.Path, maxFile)
		switch {
		case err == nil && slices.Equal(there, one.Text):
			continue
		case !os.IsNotExist(err) && !replace:
			return nil, &core.Error{Code: core.CodeConflict, Message: quote(one.Path) + " is there already with other content", Fix: "write to an empty directory, or say that files are replaced"}
		}
		due = append(due, one)
	}
	written := make([]string, 0, len(due))
	for _, one := range due {
		if err := writeWhole(one.Path, one.Text); err != nil {
			return written, &core.Error{Code: core.CodeReadOnly, Message: "write " + quote(one.Path) + ": " + reason(err), Fix: "name a directory that can be written, on a disk with space", Err: err}
		}
		written = append(written, one.Path)
	}
	return written, nil
}

// writeWhole writes a file so that nobody, not even after a crash, finds half of it.
func writeWhole(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is gone when all went well
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Chmod(f.Name(), 0o644) //nolint:gosec // as above
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}
