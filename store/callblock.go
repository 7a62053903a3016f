package store

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Call records come by the thousand and are all alike, so they stand packed in blocks, of
// one tenant and one replica each:
//
//	1 | count | suffix of all ids | n | n words | record…
//	record: id without the suffix | moment | ns | bytes in | bytes out | ten words | request | trace | arguments | result
//
// Numbers are varints, moments differences to the one before, words their places in the
// list of words. A text is a varint and its bytes: twice their count, or, when the text
// is lower-case hexadecimal, that plus one and half the bytes.
const blockFormat = 1

// Bounds of a block. One that holds a single record may be larger.
const (
	blockRecords = 2000
	blockBytes   = 1 << 20
)

// wordCount is how many columns of a record are words.
const wordCount = 10

// wordsOfCall are the texts of a record that many others have, too.
func wordsOfCall(c *core.CallRecord) [wordCount]string {
	return [wordCount]string{c.Subject, c.Who, string(c.Via), c.Credential, c.Server, c.Kind, c.Name, c.Revision, c.Client, c.Outcome}
}

// wordPlaces are the places of words, by the names that Query.Equal takes.
var wordPlaces = map[string]int{"subject": 0, "via": 2, "credential": 3, "server": 4, "kind": 5, "name": 6, "outcome": 9}

// packCalls packs records of one tenant and replica.
func packCalls(records []*core.CallRecord) []byte {
	suffix := commonSuffix(records)
	var list []string
	places := map[string]uint64{}
	body := make([]byte, 0, 96*len(records))
	var was [wordCount]string
	var at [wordCount]uint64
	last := int64(0)
	for i, c := range records {
		body = appendText(body, strings.TrimSuffix(c.ID, suffix))
		now := int64(momentOf(c.Time))
		body = binary.AppendVarint(body, now-last)
		last = now
		body = binary.AppendVarint(body, int64(c.Duration))
		body = binary.AppendVarint(body, int64(c.In))
		body = binary.AppendVarint(body, int64(c.Out))
		for n, word := range wordsOfCall(c) {
			if i == 0 || word != was[n] {
				place, known := places[word]
				if !known {
					place = uint64(len(list))
					places[word] = place
					list = append(list, word)
				}
				was[n], at[n] = word, place
			}
			body = binary.AppendUvarint(body, at[n])
		}
		body = appendText(body, c.Request)
		body = appendText(body, c.Trace)
		body = appendText(body, c.Arguments)
		body = appendText(body, c.Result)
	}
	head := []byte{blockFormat}
	head = binary.AppendUvarint(head, uint64(len(records)))
	head = appendText(head, suffix)
	head = binary.AppendUvarint(head, uint64(len(list)))
	for _, word := range list {
		head = appendText(head, word)
	}
	return append(head, body...)
}

// commonSuffix is what all ids end with, from their last dash on.
func commonSuffix(records []*core.CallRecord) string {
	dash := strings.LastIndexByte(records[0].ID, '-')
	if dash < 0 {
		return ""
	}
	suffix := records[0].ID[dash:]
	for i := range records {
		if !strings.HasSuffix(records[i].ID, suffix) {
			return ""
		}
	}
	return suffix
}

// appendText appends a text.
func appendText(b []byte, text string) []byte {
	if len(text) < 2 || !isHex(text) {
		return append(binary.AppendUvarint(b, uint64(len(text))<<1), text...)
	}
	return appendHex(binary.AppendUvarint(b, uint64(len(text)/2)<<1|1), text)
}

func appendHex(b []byte, text string) []byte {
	for i := 0; i < len(text); i += 2 {
		b = append(b, nibble(text[i])<<4|nibble(text[i+1]))
	}
	return b
}

// writtenText is a text as it stands in every block that has it, without its length.
func writtenText(text string) []byte {
	if len(text) < 2 || !isHex(text) {
		return []byte(text)
	}
	return appendHex(nil, text)
}

func isHex(text string) bool {
	if len(text)%2 != 0 {
		return false
	}
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func nibble(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c - 'a' + 10
}

// packedCall is a record as it stands in a block: its texts are those of the block.
type packedCall struct {
	id         string
	at         moment
	duration   int64
	in, out    int64
	words      [wordCount]uint32
	request    blockText
	trace      blockText
	parameters blockText // arguments
	result     blockText
}

// blockText is a text as it is written in a block.
type blockText struct {
	bytes string
	hex   bool
}

func (t blockText) text() string {
	if t.hex {
		return hex.EncodeToString([]byte(t.bytes))
	}
	return t.bytes
}

// is tells whether the text is that one, without making it.
func (t blockText) is(text string) bool {
	if !t.hex {
		return t.bytes == text
	}
	return len(text) == 2*len(t.bytes) && t.text() == text
}

// callBlock is a block that is being read.
type callBlock struct {
	tenant, replica string
	words           []string
	calls           []packedCall
}

// errBlock: what stands in the database is no block.
var errBlock = errors.New("a block of call records is damaged")

// readBlock reads what packCalls wrote.
func readBlock(tenant, replica string, packed []byte) (*callBlock, error) {
	r := blockReader{rest: string(packed)}
	if r.byte() != blockFormat {
		return nil, errBlock
	}
	b := &callBlock{tenant: tenant, replica: replica}
	count := r.count()
	suffix := r.text().text()
	words := r.count()
	b.words = make([]string, 0, min(words, 64))
	for range words {
		if r.wrong {
			return nil, errBlock
		}
		b.words = append(b.words, r.text().text())
	}
	b.calls = make([]packedCall, 0, min(count, blockRecords))
	last := int64(0)
	for range count {
		if r.wrong {
			return nil, errBlock
		}
		c := packedCall{id: r.text().text() + suffix}
		last += r.number()
		c.at, c.duration, c.in, c.out = moment(last), r.number(), r.number(), r.number()
		for n := range c.words {
			place := r.unsigned()
			if place >= uint64(len(b.words)) {
				return nil, errBlock
			}
			c.words[n] = uint32(place)
		}
		c.request, c.trace, c.parameters, c.result = r.text(), r.text(), r.text(), r.text()
		b.calls = append(b.calls, c)
	}
	if r.wrong || r.rest != "" {
		return nil, errBlock
	}
	return b, nil
}

// record makes a record of one of the block.
func (b *callBlock) record(c *packedCall) core.CallRecord {
	w := func(n int) string { return b.words[c.words[n]] }
	return core.CallRecord{
		ID: c.id, Time: c.at.time(), Replica: b.replica, Tenant: b.tenant, Duration: time.Duration(c.duration), In: int(c.in), Out: int(c.out),
		Subject: w(0), Who: w(1), Via: core.Via(w(2)), Credential: w(3), Server: w(4), Kind: w(5), Name: w(6), Revision: w(7), Client: w(8), Outcome: w(9),
		Request: c.request.text(), Trace: c.trace.text(), Arguments: c.parameters.text(), Result: c.result.text(),
	}
}

// records makes all of them.
func (b *callBlock) records() []core.CallRecord {
	all := make([]core.CallRecord, len(b.calls))
	for i := range b.calls {
		all[i] = b.record(&b.calls[i])
	}
	return all
}

// blockReader takes a block apart. After something wrong everything is empty.
type blockReader struct {
	rest  string
	wrong bool
}

func (r *blockReader) fail() { r.rest, r.wrong = "", true }

func (r *blockReader) byte() byte {
	if r.rest == "" {
		r.fail()
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *blockReader) unsigned() uint64 {
	n := uint64(0)
	for shift := 0; shift < 64; shift += 7 {
		b := r.byte()
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
	r.fail()
	return 0
}

func (r *blockReader) number() int64 {
	n := r.unsigned()
	return int64(n>>1) ^ -int64(n&1) // zig-zag, as binary.Varint
}

// count reads how many things follow, of which each takes a byte at least.
func (r *blockReader) count() int {
	n := r.unsigned()
	if n > uint64(len(r.rest)) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *blockReader) text() blockText {
	n := r.unsigned()
	if n>>1 > uint64(len(r.rest)) {
		r.fail()
		return blockText{}
	}
	t := blockText{bytes: r.rest[:n>>1], hex: n&1 != 0}
	r.rest = r.rest[n>>1:]
	return t
}
