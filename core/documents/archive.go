package documents

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core/wire"
)

// Archive is a set of documents on its way from one place to another.
type Archive struct {
	Manifest Manifest
	Texts    map[string][]byte // by the name of the document
}

// Manifest says what an archive holds.
type Manifest struct {
	Format    string          `json:"format"` // archiveFormat
	Tenant    string          `json:"tenant"`
	Exported  time.Time       `json:"exported"`
	Documents []ManifestEntry `json:"documents"` // sorted by name
}

// ManifestEntry is one document of an archive.
type ManifestEntry struct {
	Name      string    `json:"name"`
	File      string    `json:"file"` // NAME.yaml
	Size      int       `json:"size"`
	Sum       string    `json:"sha256"`
	Number    int64     `json:"number"` // of the version; 0 = unknown
	Published time.Time `json:"published,omitzero"`
	By        string    `json:"by,omitempty"`
}

const (
	archiveFormat = "sallyport-documents/1"
	manifestFile  = "manifest.json"
	// maxManifest bounds the manifest, in bytes: 1,000 documents need a quarter of it.
	maxManifest = 1 << 20
)

// Write writes the archive as tar.gz: manifest.json, and then NAME.yaml for each document,
// byte for byte. The same archive gives the same bytes.
func (a *Archive) Write(w io.Writer) error {
	manifest, err := json.MarshalIndent(a.Manifest, "", "  ")
	if err != nil {
		return err
	}
	zip := gzip.NewWriter(w)
	out := tar.NewWriter(zip)
	put := func(name string, b []byte) error {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(b)), ModTime: a.Manifest.Exported.Truncate(time.Second), Format: tar.FormatUSTAR}
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		_, err := out.Write(b)
		return err
	}
	err = put(manifestFile, append(manifest, '\n'))
	for _, one := range a.Manifest.Documents {
		if err == nil {
			err = put(one.File, a.Texts[one.Name])
		}
	}
	return errors.Join(err, out.Close(), zip.Close())
}

// errArchive says what an archive is.
func errArchive(message string) error {
	return invalid("the archive "+message, "send a tar.gz as the export writes it: manifest.json, and one NAME.yaml for each document")
}

// ReadArchive reads what Write wrote. Foreign bytes are refused: other files, links, paths,
// names twice, sums that do not fit, and more than a tenant may have.
func ReadArchive(r io.Reader) (*Archive, error) {
	zip, err := gzip.NewReader(r)
	if err != nil {
		return nil, errArchive("is not gzip")
	}
	zip.Multistream(false)
	// What comes out of it is bounded before anything is believed of it.
	in := tar.NewReader(io.LimitReader(zip, MaxTotal+MaxText+maxManifest+(MaxDocuments+3)*3*512))
	a := &Archive{Texts: map[string][]byte{}}
	total, seen := 0, false
	for {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, errArchive("is damaged, cut off or too large")
		}
		name, limit := header.Name, int64(MaxText)
		if name == manifestFile {
			limit = maxManifest
		}
		document, isText := strings.CutSuffix(name, ".yaml")
		switch {
		case header.Typeflag != tar.TypeReg:
			return nil, errArchive("holds something that is no regular file")
		case header.Size > limit:
			return nil, errArchive("holds a file that is too large")
		case name != manifestFile && (!isText || CheckName(document) != nil):
			return nil, errArchive("holds a file whose name is not that of a document")
		case name == manifestFile && seen || a.Texts[document] != nil:
			return nil, errArchive("holds two files of the same name")
		case len(a.Texts) >= MaxDocuments:
			return nil, errArchive(fmt.Sprintf("holds more than %d documents", MaxDocuments))
		}
		b, err := io.ReadAll(io.LimitReader(in, limit+1))
		if err != nil || int64(len(b)) > limit {
			return nil, errArchive("is damaged, cut off or too large")
		}
		if name == manifestFile {
			seen = true
			if err := readManifest(b, &a.Manifest); err != nil {
				return nil, err
			}
			continue
		}
		if total += len(b); total > MaxTotal {
			return nil, errArchive(fmt.Sprintf("holds more than %d MiB", MaxTotal>>20))
		}
		if err := checkText(document, b); err != nil {
			return nil, err
		}
		a.Texts[document] = append([]byte{}, b...) // never nil: an empty text is one, too
	}
	if !seen {
		return nil, errArchive("has no manifest.json")
	}
	return a, a.check()
}

func readManifest(b []byte, into *Manifest) error {
	if err := wire.Unmarshal(b, into); err != nil {
		return errArchive("has a manifest that is not what it should be: " + err.Error())
	}
	if into.Format != archiveFormat {
		return errArchive("is of a format that this version does not know")
	}
	return nil
}

// check holds the texts to the manifest.
func (a *Archive) check() error {
	listed := map[string]bool{}
	for _, one := range a.Manifest.Documents {
		text, there := a.Texts[one.Name]
		switch {
		case listed[one.Name]:
			return errArchive("lists a document twice")
		case !there || one.File != one.Name+".yaml":
			return errArchive("lists a document that is not in it")
		case one.Size != len(text) || one.Sum != sumOf(string(text)):
			return errArchive("holds a document that is not the one it lists: " + strconv.Quote(one.Name))
		}
		listed[one.Name] = true
	}
	if len(listed) != len(a.Texts) {
		return errArchive("holds a document that it does not list")
	}
	return nil
}

// NewArchive makes an archive of texts that come from elsewhere, such as files.
func NewArchive(tenant string, at time.Time, texts map[string][]byte) (*Archive, error) {
	a := &Archive{Manifest: Manifest{Format: archiveFormat, Tenant: tenant, Exported: at.UTC()}, Texts: map[string][]byte{}}
	total := 0
	for name, text := range texts {
		if err := CheckName(name); err != nil {
			return nil, err
		}
		if err := checkText(name, text); err != nil {
			return nil, err
		}
		total += len(text)
		a.Texts[name] = bytes.Clone(text)
		a.Manifest.Documents = append(a.Manifest.Documents, ManifestEntry{Name: name, File: name + ".yaml", Size: len(text), Sum: sumOf(string(text))})
	}
	if len(texts) > MaxDocuments || total > MaxTotal {
		return nil, errArchive("would hold more than a tenant may have")
	}
	slices.SortFunc(a.Manifest.Documents, func(x, y ManifestEntry) int { return strings.Compare(x.Name, y.Name) })
	return a, nil
}
