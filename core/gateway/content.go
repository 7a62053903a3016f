package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"os"
	"path"
	"strings"
	"unicode/utf8"
)

// body is what a resource or a block of a prompt holds: bytes kept in memory, or a
// file that is read for each request.
type body struct {
	fixed  []byte
	text   string // fixed, when it is text: converted once
	binary bool

	root  *os.Root
	file  string // slash-separated, under root
	limit int
}

var (
	errTooLarge = errors.New("file is too large")
	errNotFile  = errors.New("not a regular file")
)

// read returns what the body holds now.
func (b *body) read() ([]byte, error) {
	if b.root == nil {
		return b.fixed, nil
	}
	return readUnder(b.root, b.file, b.limit)
}

// readUnder reads a regular file under root, at most limit bytes. os.Root refuses
// every way out, symbolic links included.
func readUnder(root *os.Root, name string, limit int) ([]byte, error) {
	// Stat first: opening a pipe would wait for somebody to write to it.
	found, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !found.Mode().IsRegular() {
		return nil, errNotFile
	}
	if found.Size() > int64(limit) {
		return nil, errTooLarge
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only
	content, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(content) > limit {
		return nil, errTooLarge
	}
	return content, nil
}

// fileFault says what is wrong with a file, for whoever wrote its name.
func fileFault(name string, err error, limit int) fault {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault{message: "there is no file " + quoted(name), fix: "give a path relative to the document"}
	case errors.Is(err, errTooLarge):
		return fault{message: quoted(name) + " is too large", fix: fmt.Sprintf("at most %d bytes", limit)}
	case errors.Is(err, errNotFile):
		return fault{message: quoted(name) + " is not a regular file", fix: "name a file"}
	case errors.Is(err, fs.ErrPermission):
		return fault{message: quoted(name) + " may not be read", fix: "let the user that the gateway runs as read it"}
	default:
		var where *fs.PathError
		if errors.As(err, &where) {
			err = where.Err
		}
		return fault{message: quoted(name) + " cannot be read: " + err.Error(), fix: "it must stand under the directory of the document, and so must what it links to"}
	}
}

// checkPath says what is wrong with the name of a file in a document.
func checkPath(name string) *fault {
	switch {
	case name == "":
		return &fault{message: "is empty", fix: "give a path relative to the document"}
	case strings.ContainsRune(name, '\\'), hasControl(name), !utf8.ValidString(name):
		return &fault{message: quoted(name) + " has a character that a path may not have", fix: "separate directories with /"}
	case path.IsAbs(name) || len(name) > 1 && name[1] == ':':
		return &fault{message: quoted(name) + " is absolute", fix: "give a path relative to the document"}
	case !fs.ValidPath(path.Clean(name)) || path.Clean(name) == ".":
		return &fault{message: quoted(name) + " leads out of the directory of the document", fix: "give a path below it"}
	}
	return nil
}

// typeByExtension is the media type of the files that people serve. It is a table
// of our own because the one of the system differs from machine to machine.
var typeByExtension = map[string]string{
	".aac": "audio/aac", ".avif": "image/avif", ".bmp": "image/bmp", ".c": "text/x-c", ".css": "text/css", ".csv": "text/csv",
	".flac": "audio/flac", ".gif": "image/gif", ".go": "text/x-go", ".gz": "application/gzip", ".htm": "text/html", ".html": "text/html",
	".ico": "image/x-icon", ".jpeg": "image/jpeg", ".jpg": "image/jpeg", ".js": "text/javascript", ".json": "application/json",
	".jsonl": "application/jsonl", ".log": "text/plain", ".m4a": "audio/mp4", ".markdown": "text/markdown", ".md": "text/markdown",
	".mjs": "text/javascript", ".mp3": "audio/mpeg", ".mp4": "video/mp4", ".oga": "audio/ogg", ".ogg": "audio/ogg", ".pdf": "application/pdf",
	".png": "image/png", ".proto": "text/x-protobuf", ".py": "text/x-python", ".rs": "text/x-rust", ".rst": "text/x-rst", ".sh": "text/x-sh",
	".sql": "application/sql", ".svg": "image/svg+xml", ".tar": "application/x-tar", ".tiff": "image/tiff", ".toml": "application/toml",
	".ts": "text/x-typescript", ".tsv": "text/tab-separated-values", ".txt": "text/plain", ".wasm": "application/wasm", ".wav": "audio/wav",
	".webm": "video/webm", ".webp": "image/webp", ".xml": "application/xml", ".yaml": "application/yaml", ".yml": "application/yaml", ".zip": "application/zip",
}

// typeOf guesses the media type of a file: by its extension, else by what it holds.
func typeOf(name string, content []byte) string {
	if t := typeByExtension[strings.ToLower(path.Ext(name))]; t != "" {
		return t
	}
	if isText(content) {
		return "text/plain"
	}
	return "application/octet-stream"
}

// isText tells whether content can be sent as text.
func isText(content []byte) bool {
	return bytes.IndexByte(content, 0) < 0 && utf8.Valid(content)
}

// isTextType tells whether a media type is one of text.
func isTextType(mimeType string) bool {
	t, _, err := mime.ParseMediaType(mimeType)
	if err != nil {
		return false
	}
	main, sub, _ := strings.Cut(t, "/")
	if main == "text" || strings.HasSuffix(sub, "+json") || strings.HasSuffix(sub, "+xml") || strings.HasSuffix(sub, "+yaml") {
		return true
	}
	switch t {
	case "application/json", "application/jsonl", "application/xml", "application/yaml", "application/toml", "application/sql",
		"application/javascript", "application/graphql", "application/x-yaml", "application/x-ndjson", "application/ld+json":
		return true
	}
	return false
}

// checkMIME says what is wrong with a media type (RFC 9110 section 8.3.1).
func checkMIME(mimeType string) *fault {
	t, _, err := mime.ParseMediaType(mimeType)
	if err == nil {
		main, sub, both := strings.Cut(t, "/")
		if both && isToken(main) && isToken(sub) && !hasControl(mimeType) && len(mimeType) <= 256 {
			return nil
		}
	}
	return &fault{message: quoted(mimeType) + " is not a media type", fix: "write type/subtype, for example text/plain"}
}
